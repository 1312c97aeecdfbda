// Yes or no to some twenty pictures, and what the answers say.

import { act, element, post } from "./api.js";
import { chosenClass } from "./gallery.js";

let questions = [];
let at = 0;

const percent = (value) => `${Math.round(100 * value)} %`;
const range = (values) => (values
  ? `${percent(values[0])} (between ${percent(values[1])} and ${percent(values[2])}, 19 times in 20)` : "no label is given");

function showQuestion() {
  const done = at >= questions.length;
  element("question").hidden = done || !questions.length;
  if (done) return;
  const one = questions[at];
  element("question-picture").src = `/picture/${one.image}?${at}`;
  element("question-picture").alt = "the picture that is asked about";
  element("question-number").textContent = `Question ${at + 1} of ${questions.length}`;
  element("question-text").textContent = `Is this in the picture: ${one.name}?`;
}

async function showEstimate() {
  const found = await post("estimate");
  element("estimate").hidden = found.answered === 0;
  element("precision").textContent = range(found.precision);
  element("recall").textContent = range(found.recall);
  element("move-text").textContent = `from ${found.answered} answers; the best one would be ${found.threshold.toFixed(2)}`;
}

async function reply(value) {
  if (at >= questions.length) return;
  const number = at;
  at += 1;
  showQuestion();
  await post("answer", { number, value });
  await showEstimate();
  if (at >= questions.length) element("move").focus();
}

export function openQuestions(load) {
  element("ask").addEventListener("click", act(async () => {
    questions = (await post("ask", { class: chosenClass() })).questions;
    at = 0;
    element("estimate").hidden = true;
    showQuestion();
    element("question").scrollIntoView({ block: "center" });
    element("yes").focus();
  }));
  for (const [id, value] of [["yes", true], ["no", false], ["skip", null]]) {
    element(id).addEventListener("click", act(async () => reply(value)));
  }
  const keys = { y: true, n: false, s: null };
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (element("question").hidden || element("dialog").open || !(event.key in keys)) return;
    event.preventDefault();
    act(async () => reply(keys[event.key]))();
  });
  element("move").addEventListener("click", act(async () => {
    const { threshold } = await post("move");
    await load();
    await showEstimate();
    element("move-text").textContent = `moved to ${threshold.toFixed(2)}`;
  }));
}
