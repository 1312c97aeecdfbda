// One picture of the gallery: its labels to tick, and where each was found.

import { act, element, get, make, post } from "./api.js";

let page = { run: 0, images: [] };
let open = 0; // place on the page

export async function show(of, place, classes) {
  page = of;
  element("dialog-other").replaceChildren(make("option", { value: "" }, "choose…"),
    ...classes.map((one) => make("option", { value: one.class }, one.name)));
  await go(place);
  element("dialog").showModal();
  element("dialog").focus();
}

async function go(place) {
  open = Math.min(Math.max(0, place), page.images.length - 1);
  await fill();
}

async function fill() {
  const one = await get(`/api/image/${page.run}/${page.images[open].image}`);
  element("dialog-name").textContent = one.name;
  element("dialog-previous").disabled = open === 0;
  element("dialog-next").disabled = open + 1 >= page.images.length;
  element("dialog-other").value = "";
  element("dialog-checked").checked = one.checked;
  element("dialog-labels").replaceChildren(...one.labels.map((label) => line(one, label)));
  draw(one, null);
}

function line(one, label) {
  const where = make("button", {
    type: "button", class: "where", "aria-pressed": "false", "data-class": label.class,
    onclick: () => draw(one, where.getAttribute("aria-pressed") === "true" ? null : label),
  }, make("span", {}, label.name), make("b", {}, label.score.toFixed(2)));
  const tick = make("input", {
    type: "checkbox", checked: label.given, "aria-label": `${label.name} is in the picture`, "data-class": label.class,
    onchange: act((event) => correct(label.class, event.target.checked)),
  });
  const undo = label.corrected ? [make("button", {
    type: "button", class: "quiet", "aria-label": `undo the correction of ${label.name}`,
    onclick: act(() => correct(label.class, null)),
  }, "undo")] : [];
  return make("li", { class: label.given ? "yes" : "" }, tick, where, ...undo);
}

// The picture, under the heat map of a label if there is one.
function draw(one, label) {
  for (const each of element("dialog-labels").querySelectorAll(".where")) {
    each.setAttribute("aria-pressed", String(label !== null && each.dataset.class === String(label.class)));
  }
  const what = label ? `where ${label.name} was found` : one.name;
  element("dialog-picture").src = label
    ? `/heat/${page.run}/${one.image}/${label.class}` : `/picture/${page.run}/${one.image}`;
  element("dialog-picture").alt = what;
  element("dialog-caption").textContent = label ? `The brighter, the more it looks like: ${label.name}` : "";
}

async function correct(label, value) {
  try {
    await post("correct", { run: page.run, image: page.images[open].image, class: label, value });
  } finally {
    await fill(); // what the server has, whether it took the correction or not
  }
  element("dialog-labels").querySelector(`input[data-class="${label}"]`)?.focus();
}

// `closed(image)` is told which picture was seen last.
export function openPicture(closed) {
  element("dialog-previous").addEventListener("click", act(() => go(open - 1)));
  element("dialog-next").addEventListener("click", act(() => go(open + 1)));
  element("dialog").addEventListener("keydown", act(async (event) => {
    if (event.target.tagName === "SELECT") return;
    if (event.key === "ArrowLeft" && open > 0) await go(open - 1);
    if (event.key === "ArrowRight" && open + 1 < page.images.length) await go(open + 1);
  }));
  element("dialog").addEventListener("close", act(() => closed(page.images[open]?.image)));
  element("dialog-checked").addEventListener("change", act(async (event) => {
    await post("check", { run: page.run, image: page.images[open].image, value: event.target.checked });
  }));
  element("dialog-other").addEventListener("change", act(async (event) => {
    if (event.target.value !== "") await correct(Number(event.target.value), true);
  }));
}
