// --- The page -------------------------------------------------------------------------------

const STYLE_PX = 384; // longer side of a painting when it is encoded
const KEPT_PX = 2048; // longer side of a photograph as the page keeps it
const STYLES_AT_MOST = 3;

const byId = id => document.getElementById(id);

function startPage() {
  const painter = askPainter();
  const state = {photo: null, styles: [], result: null, busy: false};
  let encoding = 0; // numbers the pictures that were chosen

  const say = (words, isProblem = false) => {
    byId("status").textContent = words;
    byId("status").classList.toggle("problem", isProblem);
  };

  const invite = () => {
    if (state.busy) return;
    if (!state.photo && !state.styles.length) say("Choose a photograph and a painting.");
    else if (!state.photo) say("Choose a photograph.");
    else if (!state.styles.length) say("Choose a painting.");
    else say("Ready to paint.");
  };

  // Choosing

  async function choosePhoto(blob, name) {
    const canvas = await pictureOf(blob, name, KEPT_PX);
    state.photo = {canvas, name};
    draw(byId("photo-view"), canvas, 480);
    byId("photo-view").setAttribute("aria-label", `The photograph: ${name}`);
    byId("photo-name").textContent = `${name}, ${canvas.wasWidth} × ${canvas.wasHeight}`;
    invite();
  }

  async function chooseStyle(blob, name) {
    if (state.styles.length === STYLES_AT_MOST) {
      throw new Error("Three paintings are chosen already; remove one first.");
    }
    const canvas = await pictureOf(blob, name, STYLE_PX);
    state.styles.push({id: ++encoding, name, canvas, share: 50});
    showStyles();
    invite();
  }

  const reported = (make, ...given) => make(...given).catch(error => say(error.message, true));

  function showStyles() {
    const items = state.styles.map(style => {
      const item = document.createElement("li");
      const view = document.createElement("canvas");
      draw(view, style.canvas, 160);
      view.setAttribute("role", "img");
      view.setAttribute("aria-label", `Painting: ${style.name}`);
      const name = document.createElement("span");
      name.textContent = style.name;
      item.append(view, name);
      if (state.styles.length > 1) {
        const share = Object.assign(document.createElement("input"), {
          type: "range", min: 1, max: 100, value: style.share,
        });
        share.oninput = () => { style.share = Number(share.value); };
        const label = document.createElement("label");
        label.append("Share ", share);
        share.setAttribute("aria-label", `Share of ${style.name}`);
        item.append(label);
      }
      const remove = document.createElement("button");
      remove.textContent = "Remove";
      remove.setAttribute("aria-label", `Remove ${style.name}`);
      remove.onclick = () => {
        state.styles = state.styles.filter(other => other !== style);
        showStyles();
        invite();
        byId("style-file").focus();
      };
      item.append(remove);
      return item;
    });
    byId("chosen").replaceChildren(...items);
    for (const button of byId("style-examples").querySelectorAll("button")) {
      const chosen = state.styles.some(style => style.example === button.dataset.file);
      button.setAttribute("aria-pressed", chosen);
    }
  }

  function receive(drop, input, choose) {
    const each = async files => {
      for (const file of files) await reported(choose, file, file.name || "picture");
    };
    input.onchange = async () => {
      await each([...input.files]);
      input.value = ""; // so that the same file can be chosen again
    };
    drop.ondragover = event => {
      event.preventDefault();
      drop.classList.add("over");
    };
    drop.ondragleave = () => drop.classList.remove("over");
    drop.ondrop = event => {
      event.preventDefault();
      drop.classList.remove("over");
      each([...event.dataTransfer.files]);
    };
  }

  async function showExamples() {
    const {examples, versions} = await (await fetch(MANIFEST)).json();
    byId("about").textContent = `Version ${versions["stya2k-jax"]}.`;
    const add = (place, {name, file}, choose) => {
      const button = document.createElement("button");
      const image = Object.assign(document.createElement("img"), {src: file, alt: ""});
      button.title = name;
      button.dataset.file = file;
      button.setAttribute("aria-label", name);
      button.append(image);
      button.onclick = () => reported(choose, file, name);
      byId(place).append(button);
    };
    const blobOf = async file => (await fetch(file)).blob();
    for (const example of examples.contents) {
      add("photo-examples", example, async (file, name) => choosePhoto(await blobOf(file), name));
    }
    for (const example of examples.styles) {
      add("style-examples", example, async (file, name) => {
        const chosen = state.styles.findIndex(style => style.example === file);
        if (chosen >= 0) state.styles.splice(chosen, 1);
        else {
          await chooseStyle(await blobOf(file), name);
          state.styles.at(-1).example = file;
        }
        showStyles();
        invite();
      });
    }
  }

  // Painting

  /** Encodes the chosen styles where needed; returns their keys and shares. */
  async function blendOf(longest, tell) {
    const total = state.styles.reduce((sum, style) => sum + style.share, 0);
    const blend = [];
    for (const style of [...state.styles]) {
      const key = `${style.id} at ${longest}`;
      if (!(await painter.ask("encode", {key}, tell)).known) {
        const [width, height] = inMultiples(style.canvas, longest, 64);
        await painter.ask("encode", {key, picture: pixelsOf(style.canvas, width, height)}, tell);
      }
      blend.push({key, share: style.share / total});
    }
    return blend;
  }

  async function open(tell) {
    const opened = await painter.ask("open", {compute: byId("compute").value}, tell);
    if (opened.compute !== byId("compute").value) {
      byId("compute").value = opened.compute;
      tell("The graphics card is slow or paints something else; the processor paints.");
    }
    return opened;
  }

  async function paint() {
    if (state.busy) return;
    if (!state.photo || !state.styles.length) return invite();
    state.busy = true;
    byId("paint").setAttribute("aria-disabled", "true");
    try {
      const {threads, compute} = await open(say);
      const blend = await blendOf(STYLE_PX, say);
      const {canvas, name} = state.photo;
      const [width, height] = within(canvas, Number(byId("size").value));
      say(`Painting ${width} × ${height} …`);
      const picture = pixelsOf(canvas, width, height);
      const painted = await painter.ask("paint", {picture, blend, smoothing: null}, say);
      state.result = {before: picture, after: painted.pixels, width, height};
      byId("download").download = `${name.replace(/\.[^.]*$/, "")}-painted.png`;
      byId("result").hidden = false;
      byId("result").dataset.seconds = painted.seconds; // for benchmarks/site.py
      showResult();
      const by = compute === "webgpu" ? "the graphics card"
        : threads > 1 ? `${threads} threads` : "one thread";
      say(`Painted ${width} × ${height} in ${painted.seconds.toFixed(1)} seconds, by ${by}.`);
    } catch (error) {
      say(error.message, true);
    }
    state.busy = false;
    byId("paint").removeAttribute("aria-disabled");
  }

  /** Draws both pictures; the strength mixes them, so it needs no painting again. */
  function showResult() {
    const {before, after, width, height} = state.result;
    const strength = byId("strength").value / 100;
    byId("strength-value").textContent = `${byId("strength").value} %`;
    const shown = Uint8ClampedArray.from(
      after, (value, i) => before.pixels[i] + strength * (value - before.pixels[i]));
    for (const [id, pixels] of [["before", before.pixels], ["after", shown]]) {
      const canvas = Object.assign(byId(id), {width, height});
      canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    }
    byId("compare").style.setProperty("--ratio", width / height);
    byId("after").toBlob(blob => {
      URL.revokeObjectURL(byId("download").href);
      byId("download").href = URL.createObjectURL(blob);
    });
  }

  byId("paint").onclick = paint;
  byId("strength").oninput = () => state.result && showResult();
  receive(byId("photo-drop"), byId("photo-file"), choosePhoto);
  receive(byId("style-drop"), byId("style-file"), chooseStyle);
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => event.preventDefault()); // beside: do not leave the page
  compare(byId("compare"));
  startCamera({painter, open, blendOf, hasStyles: () => state.styles.length > 0});
  byId("compute-choice").hidden = !navigator.gpu;
  reported(showExamples);
}

/** Starts the worker; `ask` sends a task and gives its result, and passes on progress in words. */
function askPainter() {
  const worker = new Worker("app.js", {type: "module"});
  const waiting = new Map();
  let number = 0;
  worker.onmessage = ({data: {id, words, result, error}}) => {
    const {resolve, reject, tell} = waiting.get(id);
    if (words) return tell(words);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(result);
  };
  worker.onerror = () => {
    for (const {reject} of waiting.values()) {
      reject(new Error("The painter has stopped; load this page again."));
    }
  };
  const ask = (task, given, tell) => new Promise((resolve, reject) => {
    waiting.set(++number, {resolve, reject, tell});
    worker.postMessage({id: number, task, ...given});
  });
  return {ask};
}

// Pictures

/** Decodes a picture, upright and in sRGB, onto a canvas of at most `longest` pixels a side. */
async function pictureOf(blob, name, longest) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {imageOrientation: "from-image"});
  } catch {
    throw new Error(`${name} is no picture that this browser can read, or too large for it.`);
  }
  const [width, height] = within(bitmap, longest);
  const canvas = Object.assign(document.createElement("canvas"), {width, height});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white"; // below transparent pictures
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  canvas.wasWidth = bitmap.width;
  canvas.wasHeight = bitmap.height;
  bitmap.close();
  return canvas;
}

/** Returns width and height with the longer one at most `longest`. */
function within({width, height}, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return [width, height].map(side => Math.max(1, Math.round(side * scale)));
}

/** Returns a size near the picture's, whose sides are multiples: a painting needs no border. */
function inMultiples({width, height}, longest, unit) {
  const scale = longest / Math.max(width, height);
  return [width, height].map(side => unit * Math.max(1, Math.round(side * scale / unit)));
}

/** Returns a canvas or video at a size as RGBA bytes. */
function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return {width, height, pixels: context.getImageData(0, 0, width, height).data};
}

/** Shows a canvas on another one, made smaller. */
function draw(view, canvas, longest) {
  [view.width, view.height] = within(canvas, longest);
  const context = view.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, view.width, view.height);
  view.hidden = false;
}
