// Sends the camera's newest frame to be painted, shows it, and sends the next one. Frames that come
// meanwhile are left out. The server puts `camera_switch.js` before this.

const FRAMES_TO_JUDGE = 12; // by which the rate is measured

const byId = id => document.getElementById(id);
const say = (words, isProblem = false) => {
  byId("status").textContent = words;
  byId("status").classList.toggle("problem", isProblem);
};
let style = 0;

async function showStyles() {
  const names = await (await fetch("styles")).json();
  names.forEach((name, index) => {
    const button = document.createElement("button");
    const image = Object.assign(new Image(), {src: `styles/${index}`, alt: name});
    button.append(image);
    button.title = name;
    button.setAttribute("aria-pressed", String(index === style));
    button.onclick = () => {
      style = index;
      for (const [i, other] of [...byId("styles").children].entries()) {
        other.setAttribute("aria-pressed", String(i === index));
      }
    };
    byId("styles").append(button);
  });
}

async function paint(isOn) {
  say("Painting the first frame; a new height takes some seconds.");
  const video = byId("video"), view = byId("camera-view"), frame = document.createElement("canvas");
  let times = [], lastSaid = 0;
  while (isOn()) {
    const height = Number(byId("height").value);
    const width = Math.round(height * video.videoWidth / video.videoHeight);
    Object.assign(frame, {width, height});
    frame.getContext("2d").drawImage(video, 0, 0, width, height);
    const body = await new Promise(done => frame.toBlob(done, "image/jpeg", 0.92));
    const answer = await fetch(`frame/${style}`, {method: "POST", body});
    if (!answer.ok) throw new Error(await answer.text());
    const painted = await createImageBitmap(await answer.blob());
    if (!isOn()) return;
    const context = view.getContext("2d");
    if (view.width !== width || view.height !== height) {
      Object.assign(view, {width, height});
      context.globalAlpha = 1;
      times = [];
    } else {
      context.globalAlpha = 1 - byId("smoothing").value / 100;
    }
    context.drawImage(painted, 0, 0);
    painted.close();
    view.hidden = false;
    times = [...times, performance.now()].slice(-FRAMES_TO_JUDGE - 1);
    const now = times.at(-1), seconds = (now - times[0]) / 1000;
    if (times.length > FRAMES_TO_JUDGE / 2 && now - lastSaid > 1000) {
      const rate = ((times.length - 1) / seconds).toFixed(1);
      say(`${rate} frames a second, painted at ${width} × ${height}.`);
      lastSaid = now;
    }
    await new Promise(requestAnimationFrame); // lets the page show it
  }
}

const hasEnded = "The program that paints has ended; start it again.";
addCameraSwitch({
  paint, say,
  video: byId("video"),
  view: byId("camera-view"),
  start: byId("start"),
  stop: byId("stop"),
  mayStart: () => "",
  // What `fetch` says where nobody answers means nothing to people.
  inWords: error => error instanceof TypeError ? hasEnded : error.message,
});
showStyles().catch(() => say(hasEnded, true));
