// Yes or no to some twenty pictures, and what the answers say.

import { act, counted, element, make, post } from "./api.js";

let run = 0;
let scope = null; // class that is asked about alone
let questions = [];
let at = 0;

const NAMES = {
  precision: "Precision: of the labels given, how many are right",
  recall: "Recall: of what is there, how much was found",
  f1: "F1: both in one number",
};
const percent = (value) => `${Math.round(100 * value)}\u00a0%`;

export function showScope(of, one) {
  if (of !== run) forget();
  run = of;
  scope = one ? one.class : null;
  element("ask-scope").textContent = one
    ? `about ${one.name}` : "about all labels; choose a label above to be asked about it alone";
}

function forget() {
  questions = [];
  element("question").hidden = element("estimate").hidden = true;
}

function showQuestion() {
  const done = at >= questions.length;
  element("question").hidden = done;
  if (done) return;
  const one = questions[at];
  element("question-picture").src = `/picture/${run}/${one.image}`;
  element("question-picture").alt = "the picture that is asked about";
  element("question-number").textContent = `Question ${at + 1} of ${questions.length}`;
  element("question-text").replaceChildren("Is this in the picture: ", make("strong", {}, one.name), "?");
}

function share(name, values) {
  const bar = make("div", { class: "track", "aria-hidden": "true" });
  if (values) {
    const [value, low, high] = values;
    const fill = make("span", { class: "range" });
    fill.style.left = `${100 * low}%`;
    fill.style.width = `${100 * (high - low)}%`;
    const tick = make("span", { class: "tick" });
    tick.style.left = `${100 * value}%`;
    bar.append(fill, tick);
  }
  const text = values
    ? [make("b", {}, `${Math.round(100 * values[1])} to ${percent(values[2])}`), ` best\u00a0guess\u00a0${percent(values[0])}`]
    : ["these answers do not tell"];
  return make("div", {}, make("dt", {}, NAMES[name]), make("dd", { id: name }, ...text, bar));
}

function showEstimate(found) {
  const known = "precision" in found;
  const finished = at >= questions.length;
  element("estimate").hidden = !known && !finished;
  element("shares").replaceChildren(...(known ? Object.keys(NAMES).map((name) => share(name, found[name])) : []));
  const from = `From ${counted(found.answered, "answer", "answers")}.`;
  element("move").hidden = !known || !found.moved;
  if (!known) {
    element("move-text").textContent = `${from} That is too few to tell; ${found.wanted} are needed.`;
  } else if (found.moved) {
    element("move-text").textContent = `${from} A threshold of ${found.moved.toFixed(2)}, where it was 0.50 at the `
      + `questions, would be better: F1 would be about ${percent(found.expected_f1)}.`;
  } else {
    element("move-text").textContent = `${from} They are not sure that other thresholds are better, so these stay.`;
  }
}

async function reply(value) {
  if (at >= questions.length) return;
  const number = at;
  at += 1;
  showQuestion();
  showEstimate(await post("answer", { run, number, value }));
  if (at >= questions.length) element(element("move").hidden ? "ask" : "move").focus();
}

export function openQuestions(load) {
  element("ask").addEventListener("click", act(async () => {
    ({ questions } = await post("ask", { run, class: scope, count: Number(element("ask-count").value) }));
    at = 0;
    element("estimate").hidden = true;
    showQuestion();
    element("question").scrollIntoView({ block: "center" });
    element("yes").focus({ preventScroll: true });
  }));
  for (const [id, value] of [["yes", true], ["no", false], ["skip", null]]) {
    element(id).addEventListener("click", act(() => reply(value)));
  }
  const keys = { y: true, n: false, s: null };
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (element("question").hidden || document.querySelector("dialog[open]") || !(event.key in keys)) return;
    event.preventDefault();
    act(() => reply(keys[event.key]))();
  });
  element("move").addEventListener("click", act(async () => {
    await post("move", { run });
    await load();
    element("move").hidden = true;
    element("move-text").textContent = "The thresholds are moved. The figures above are from before; ask again for new ones.";
    element("ask").focus();
  }));
}
