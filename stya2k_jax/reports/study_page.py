"""A preference study as one HTML file, and the sums of its votes (Sec. 4.2, "User Study").

Each group shows a content, a style and the systems' results under letters, in an order of its own
for every participant, and asks three questions. The page exports the votes as JSON; nothing is sent
anywhere. The page cannot tell which system is which, but the file it exports can.
"""

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from stya2k_jax.errors import UserError
from stya2k_jax.files.atomic import write_whole
from stya2k_jax.pictures.names import Pair

QUESTIONS = {
    "content": "Which result keeps the content best?",
    "style": "Which result shows the style best?",
    "overall": "Which result do you like best?",
}
GROUPS = 20
PICTURE_PX = 320

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Preference study</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem }
figure { display: inline-block; margin: .4rem; text-align: center }
img { width: min(256px, 44vw); display: block }
fieldset { margin: .5rem 0; border: 1px solid #bbb } label { margin-right: 1.2rem }
button { font-size: 1rem; padding: .4rem 1rem; margin-right: .5rem }
</style><body><h1>Preference study</h1>
<p>Each group shows a content, a style, and results that paint the content in that style. Please
answer the three questions below them. Nothing is sent anywhere: at the end you save a file.</p>
<p><b id="where"></b></p><div id="group"></div>
<button id="next">Next</button><p id="hint"></p>
<noscript>This page needs JavaScript; it sends nothing anywhere.</noscript>
<script>
const study = __STUDY__;
const shuffled = items => {
  const a = items.slice();
  for (let i = a.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [a[i], a[j]] = [a[j], a[i]];
  }
  return a;
};
const order = shuffled(study.groups);
const votes = [];
let at = 0, shown = [];
const byId = id => document.getElementById(id);
const figure = (source, caption) =>
  `<figure><img src="data:image/jpeg;base64,${source}" alt="${caption}">` +
  `<figcaption>${caption}</figcaption></figure>`;
function show() {
  const group = order[at];
  shown = shuffled(Object.keys(group.results));
  const letter = i => String.fromCharCode(65 + i);
  let html = figure(study.pictures[group.content], "content") +
    figure(study.pictures[group.style], "style") + "<br>" +
    shown.map((key, i) => figure(group.results[key], letter(i))).join("");
  for (const [name, question] of Object.entries(study.questions)) {
    html += `<fieldset><legend>${question}</legend>` + shown.map((key, i) =>
      `<label><input type="radio" name="${name}" value="${key}"> ${letter(i)}</label>`).join("") +
      "</fieldset>";
  }
  byId("group").innerHTML = html;
  byId("where").textContent = `Group ${at + 1} of ${order.length}`;
  byId("hint").textContent = "";
  scrollTo(0, 0);
}
byId("next").onclick = () => {
  const answers = {};
  for (const name of Object.keys(study.questions)) {
    const chosen = document.querySelector(`input[name=${name}]:checked`);
    if (!chosen) { byId("hint").textContent = "Please answer every question."; return; }
    answers[name] = chosen.value;
  }
  votes.push({group: order[at].group, shown: shown, answers: answers});
  at += 1;
  if (at < order.length) { show(); return; }
  const data = JSON.stringify({study: study.id, keys: study.keys, votes: votes}, null, 1);
  const link = URL.createObjectURL(new Blob([data], {type: "application/json"}));
  byId("where").textContent = "Thank you.";
  byId("next").remove();
  byId("group").innerHTML = `<a href="${link}" download="votes-${Date.now()}.json">` +
    "Save your votes</a> and send the file to whoever gave you this page.";
};
show();
</script></body></html>
"""


def write_study(
    path: Path,
    systems: Mapping[str, Mapping[Pair, Path]],
    contents: Mapping[str, Path],
    styles: Mapping[str, Path],
    pixels_of: Callable[[Path], np.ndarray],
    *,
    groups: int = GROUPS,
    seed: int = 0,
) -> list[Pair]:
    """Writes the page.

    Args:
      path: of the HTML file.
      systems: each system's stylized pictures.
      contents: files by name.
      styles: files by name.
      pixels_of: reads a picture as uint8 `[H, W, 3]`.
      groups: how many pairs are shown; they are drawn among those that every system has.
      seed: of the draw, and of the keys that stand for systems in the page.

    Returns:
      The pairs shown.

    Raises:
      UserError: fewer than two systems, or no pair that all have.
    """
    if len(systems) < 2:
        raise UserError(f"a study compares systems; it got {len(systems)}: give --system twice.")
    common = sorted(set.intersection(*(set(pictures) for pictures in systems.values())))
    if not common:
        raise UserError(f"no pair has a picture of every one of {', '.join(systems)}.")
    rng = np.random.default_rng(seed)
    chosen = [common[i] for i in sorted(rng.permutation(len(common))[:groups])]
    keys = dict(zip(systems, (f"k{i}" for i in rng.permutation(len(systems))), strict=True))
    shown = {f"c:{p.content}": contents[p.content] for p in chosen}
    shown |= {f"s:{p.style}": styles[p.style] for p in chosen}
    study = {
        "keys": {key: system for system, key in keys.items()},
        "questions": QUESTIONS,
        "pictures": {name: _jpeg(pixels_of(file)) for name, file in shown.items()},
        "groups": [
            {
                "group": pair.stem,
                "content": f"c:{pair.content}",
                "style": f"s:{pair.style}",
                "results": {keys[s]: _jpeg(pixels_of(systems[s][pair])) for s in systems},
            }
            for pair in chosen
        ],
    }
    study["id"] = hashlib.sha256(json.dumps(study).encode()).hexdigest()[:16]
    text = json.dumps(study).replace("<", "\\u003c")  # no name may end the script
    page = _PAGE.replace("__STUDY__", text)
    write_whole(path, lambda name: Path(name).write_text(page, encoding="utf-8"))
    return chosen


def _jpeg(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=88)
    return base64.b64encode(buffer.getvalue()).decode()
