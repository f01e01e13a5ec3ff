// --- The camera's switch ----------------------------------------------------------------------

/**
 * Lets two buttons turn the camera on and off.
 *
 * `mayStart()` says in words why it cannot be now, or nothing. `paint(isOn)` is called once the
 * video plays, and paints while `isOn()`; it shows `view`, which is hidden with the camera off.
 * `say(words, isProblem)` tells the visitor; `inWords(error)` is what it says of an error.
 */
function addCameraSwitch({video, view, start, stop, mayStart, paint, say, inWords}) {
  let stream = null, isAsking = false;
  const show = isRunning => {
    start.hidden = isRunning;
    stop.hidden = !isRunning;
    if (!isRunning) view.hidden = true;
  };

  async function turnOn() {
    if (stream || isAsking) return;
    const obstacle = mayStart();
    if (obstacle) return say(obstacle);
    if (!navigator.mediaDevices) return say("This page has no camera without https.", true);
    isAsking = true;
    try {
      const wanted = {width: {ideal: 640}, height: {ideal: 480}, facingMode: "user"};
      stream = await navigator.mediaDevices.getUserMedia({video: wanted, audio: false});
    } catch {
      return say("There is no camera, or this page may not use it.", true);
    } finally {
      isAsking = false;
    }
    show(true);
    stop.focus();
    const mine = stream; // another one is there if the camera is stopped and started again
    const isOn = () => stream === mine;
    try {
      video.srcObject = stream;
      await video.play();
      await paint(isOn);
    } catch (error) {
      if (isOn()) say(inWords(error), true);
    }
    if (isOn()) turnOff();
  }

  function turnOff() {
    stream?.getTracks().forEach(track => track.stop());
    stream = video.srcObject = null;
    const hadFocus = document.activeElement === stop;
    show(false);
    if (hadFocus) start.focus();
  }

  start.onclick = turnOn;
  stop.onclick = () => {
    turnOff();
    say("Stopped.");
  };
}
