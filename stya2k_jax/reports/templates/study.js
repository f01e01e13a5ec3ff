// Shows the groups of `study` one by one, in an order of its own, and saves the votes as a file.
const byId = id => document.getElementById(id);

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

// No name of a picture or a system is in this HTML: only keys, letters, questions and pictures.
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
    const choices = shown.map((key, i) =>
      `<label><input type="radio" name="${name}" value="${key}"> ${letter(i)}</label>`);
    html += `<fieldset><legend>${question}</legend>${choices.join("")}</fieldset>`;
  }
  byId("group").innerHTML = html;
  byId("where").textContent = `Group ${at + 1} of ${order.length}`;
  byId("hint").textContent = "";
  scrollTo(0, 0);
}

function save() {
  const data = JSON.stringify({study: study.id, keys: study.keys, votes: votes}, null, 1);
  const link = URL.createObjectURL(new Blob([data], {type: "application/json"}));
  byId("where").textContent = "Thank you.";
  byId("next").remove();
  byId("group").innerHTML = `<a href="${link}" download="votes-${Date.now()}.json">` +
    "Save your votes</a> and send the file to whoever gave you this page.";
}

byId("next").onclick = () => {
  const answers = {};
  for (const name of Object.keys(study.questions)) {
    const chosen = document.querySelector(`input[name=${name}]:checked`);
    if (!chosen) {
      byId("hint").textContent = "Please answer every question.";
      return;
    }
    answers[name] = chosen.value;
  }
  votes.push({group: order[at].group, shown: shown, answers: answers});
  at += 1;
  if (at < order.length) show();
  else save();
};

show();
