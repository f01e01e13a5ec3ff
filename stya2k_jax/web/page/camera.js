// --- The camera -----------------------------------------------------------------------------

const CAMERA_STYLE_PX = 256;
const CAMERA_HEIGHTS = [240, 192, 128]; // painted, from the best to the quickest
const FRAMES_A_SECOND = 5; // below that, "automatic" takes the next height
const FRAMES_TO_WARM_UP = 12; // browsers make WebAssembly quick while it runs
const FRAMES_TO_JUDGE = 6; // by which the rate is measured

function startCamera({painter, open, blendOf, hasStyles}) {
  const video = byId("camera"), view = byId("camera-view");
  const say = (words, isProblem = false) => {
    byId("camera-status").textContent = words;
    byId("camera-status").classList.toggle("problem", isProblem);
  };

  /** Paints the newest frame again and again, until the camera is stopped. */
  async function paint(isOn) {
    const tell = words => isOn() && say(words);
    await open(tell);
    let level = 0, left = FRAMES_TO_WARM_UP, times = [], lastSaid = 0;
    while (isOn()) {
      const chosen = byId("camera-size").value;
      const height = chosen === "auto" ? CAMERA_HEIGHTS[level] : Number(chosen);
      const width = Math.round(height * video.videoWidth / video.videoHeight);
      if (!hasStyles()) return say("Choose a painting first.");
      const blend = await blendOf(CAMERA_STYLE_PX, tell);
      if (!isOn()) return;
      const picture = pixelsOf(video, width, height);
      const smoothing = byId("smoothing").value / 100;
      const painted = await painter.ask("paint", {picture, blend, smoothing}, tell);
      if (!isOn()) return;
      Object.assign(view, {width, height});
      view.getContext("2d").putImageData(new ImageData(painted.pixels, width, height), 0, 0);
      view.hidden = false;
      times = [...times, performance.now()].slice(-FRAMES_TO_JUDGE - 1);
      const now = times.at(-1);
      const rate = 1000 * (times.length - 1) / (now - times[0] || Infinity);
      left -= 1;
      if (now - lastSaid > 1000 && rate) {
        say(`${rate.toFixed(1)} frames a second, painted at ${width} × ${height}.`);
        lastSaid = now;
      }
      const isSlow = left <= 0 && rate < FRAMES_A_SECOND;
      if (chosen === "auto" && isSlow && level < CAMERA_HEIGHTS.length - 1) {
        level += 1;
        left = FRAMES_TO_JUDGE;
        times = [];
      }
      await new Promise(requestAnimationFrame); // lets the page show it
    }
  }

  addCameraSwitch({
    video, view, paint, say,
    start: byId("camera-start"),
    stop: byId("camera-stop"),
    mayStart: () => hasStyles() ? "" : "Choose a painting first.",
    inWords: error => error.message,
  });
}
