// --- The worker: opens the model, encodes styles, paints ------------------------------------

const THREADS_AT_MOST = 4;
const STYLES_KEPT = 24;
const CHECK_TOLERANCE = 2; // of 255
const CHECK_SECONDS = 1; // a graphics card that is imitated by the processor takes longer

function startPainter() {
  const tasks = {open, encode, paint};
  let engine = null; // what `open` has made
  let smoothed = null; // the camera's last picture, floats
  const styles = new Map(); // encoded styles by key, the least recently used first
  let queue = Promise.resolve();

  // Questions are answered one after the other.
  self.onmessage = ({data}) => {
    queue = queue.then(() => answer(data));
  };

  async function answer({id, task, ...given}) {
    const say = words => self.postMessage({id, words});
    try {
      const result = await tasks[task](given, say);
      self.postMessage({id, result}, result.pixels ? [result.pixels.buffer] : []);
    } catch (error) {
      self.postMessage({id, error: inWords(error)});
    }
  }

  /** Loads runtime and model, for `compute`: "wasm" or "webgpu". */
  async function open({compute}, say) {
    if (engine?.wanted === compute) return {compute: engine.compute, threads: engine.threads};
    const manifest = await (await fetch(MANIFEST)).json();
    const sum = Object.values(manifest.programs).reduce((n, x) => n + x.bytes, 0);
    say(`Loading the model, ${megabytes(manifest.weights.bytes + sum)} …`);
    const {file, integrity} = manifest.weights;
    const weights = await bytesOf(file, integrity);
    let opened = null;
    if (compute === "webgpu") {
      say("Trying the graphics card …");
      opened = await checked(manifest, weights).catch(() => null);
    }
    if (!opened) {
      say("Loading the runtime …");
      opened = await engineOf(manifest, weights, "wasm");
    }
    engine = {...opened, wanted: compute};
    styles.clear();
    return {compute: engine.compute, threads: engine.threads};
  }

  /** Returns the keys of a style: computed once, then kept. */
  async function encode({key, picture}, say) {
    if (!styles.has(key)) {
      if (!picture) return {known: false};
      say("Encoding the painting …");
      styles.set(key, await engine.run("style", {picture: engine.tensor(picture)}));
      if (styles.size > STYLES_KEPT) styles.delete(styles.keys().next().value);
    } else {
      const kept = styles.get(key);
      styles.delete(key);
      styles.set(key, kept);
    }
    return {known: true};
  }

  /**
   * Paints a picture in styles that are encoded already.
   *
   * picture: width, height and RGBA bytes; blend: [{key, share}], shares add up to 1.
   * smoothing: how much of the last picture stays, for the camera; null for a photograph.
   */
  async function paint({picture, blend, smoothing}) {
    const begin = performance.now();
    const encoded = blend.map(x => ({...x, arrays: styles.get(x.key)}));
    const painted = await engine.paint(picture, encoded);
    const seconds = (performance.now() - begin) / 1000;
    const {width, height} = picture;
    let values = cropped(painted, width, height);
    if (smoothing === null) smoothed = null;
    else values = smoothed = mixed(smoothed, values, smoothing);
    return {width, height, seconds, pixels: toBytes(values)};
  }
}

/** Opens the graphics card's runtime; null if it is slow or paints something else. */
async function checked(manifest, weights) {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return null;
  const engine = await engineOf(manifest, weights, "webgpu");
  const {size, step, values} = manifest.check;
  const picture = new Float32Array(size * size * 3);
  for (let i = 0, y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let c = 0; c < 3; c++, i++) {
        picture[i] = 0.5 + 0.5 * Math.sin(0.37 * x + 0.23 * y * (c + 1) + c);
      }
    }
  }
  const tensor = new engine.ort.Tensor("float32", picture, [1, size, size, 3]);
  const keys = await engine.run("style", {picture: tensor});
  const inputs = {picture: tensor, size: engine.sides(size, size), ...keys};
  await engine.run("content", inputs); // the first time it is prepared
  const begin = performance.now();
  const {stylized} = await engine.run("content", inputs);
  if (performance.now() - begin > 1000 * CHECK_SECONDS) return null;
  let i = 0;
  for (let y = 0; y < size; y += step) {
    for (let x = 0; x < size; x += step) {
      for (let c = 0; c < 3; c++, i++) {
        const value = 255 * Math.min(1, Math.max(0, stylized.data[(y * size + x) * 3 + c]));
        if (!(Math.abs(value - values[i]) <= CHECK_TOLERANCE)) return null;
      }
    }
  }
  return engine;
}

/** Opens ONNX Runtime Web, and the model's programs when they are first needed. */
async function engineOf(manifest, weights, compute) {
  const {base, files} = manifest.runtime;
  const [main, glue, program] = await Promise.all(files[compute].map(
    ({file, integrity}) => bytesOf(new URL(base + file, self.location), integrity),
  ));
  // Modules are imported from memory, because only `fetch` checks digests.
  const asModule = bytes => URL.createObjectURL(new Blob([bytes], {type: "text/javascript"}));
  const ort = await import(asModule(main));
  // Browsers allow threads only where the host sends two headers (COOP and COEP). Two of them on
  // two busy cores wait for each other, so half of the cores is enough.
  const cores = self.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1;
  const threads = Math.min(THREADS_AT_MOST, Math.ceil(cores / 2));
  Object.assign(ort.env.wasm, {
    wasmPaths: {mjs: asModule(glue)}, wasmBinary: program.buffer, numThreads: threads,
  });
  ort.env.logLevel = "error";

  const sessions = new Map();
  const session = name => {
    if (!sessions.has(name)) {
      const {file, integrity} = manifest.programs[name];
      sessions.set(name, bytesOf(file, integrity).then(bytes =>
        ort.InferenceSession.create(bytes, {
          executionProviders: [compute], logSeverityLevel: 3,
          externalData: [{path: manifest.weights.file, data: weights}],
        })));
    }
    return sessions.get(name);
  };
  const run = async (name, inputs) => (await session(name)).run(inputs);
  const tensor = picture => {
    const {data, height, width} = padded(picture, manifest.unit);
    return new ort.Tensor("float32", data, [1, height, width, 3]);
  };
  const sides = (height, width) =>
    new ort.Tensor("int32", Int32Array.of(height, width), [2]);
  await session("style"); // one after the other, as WebGPU demands
  await session("content");
  return {
    ort, run, tensor, sides, compute, threads,
    async paint(picture, blend) {
      const size = sides(picture.height, picture.width);
      const inputs = {picture: tensor(picture), size};
      if (blend.length === 1) Object.assign(inputs, blend[0].arrays);
      else {
        const shares = Float32Array.from(blend, x => x.share);
        inputs.shares = new ort.Tensor("float32", shares, [blend.length]);
        blend.forEach(({arrays}, i) => {
          for (const [name, array] of Object.entries(arrays)) inputs[`${i}.${name}`] = array;
        });
      }
      const name = blend.length === 1 ? "content" : `content_${blend.length}`;
      const known = manifest.programs[name].inputs;
      const {stylized} = await run(
        name, Object.fromEntries(known.map(input => [input, inputs[input]])));
      return {data: stylized.data, width: stylized.dims[2]};
    },
  };
}

/** Returns what went wrong as a sentence for people. */
function inWords(error) {
  const text = String(error?.message ?? error);
  if (/memory|bad_alloc|out of bounds|Array buffer allocation|^\d+$/i.test(text)) {
    return "There is not enough memory for this size; choose a smaller one.";
  }
  return text;
}
