// Lets the slider of a `.compare` uncover the picture below.
function compare(box) {
  const slider = box.querySelector("input");
  slider.oninput = () => box.style.setProperty("--cut", `${slider.value}%`);
  slider.oninput();
}
