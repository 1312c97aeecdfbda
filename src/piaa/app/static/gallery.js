// The pictures with their labels: pages of them, the threshold of a label, and one picture with heat maps to correct.

import { act, element, get, make, post } from "./api.js";

const view = { class: "", sort: "doubt", which: "all", page: 0 };
let classes = [];
let shown = []; // images of the page
let open = 0; // place on the page of the picture in the dialog
let reload = async () => {};

export const chosenClass = () => (view.class === "" ? null : Number(view.class));

export function showClasses(all) {
  classes = all;
  const select = element("class");
  select.replaceChildren(make("option", { value: "" }, "all labels"),
    ...all.map((one) => make("option", { value: one.class }, `${one.name} (${one.count})`)));
  if (view.class !== "" && Number(view.class) >= all.length) view.class = "";
  select.value = view.class;
  element("dialog-other").replaceChildren(make("option", { value: "" }, "choose…"),
    ...all.map((one) => make("option", { value: one.class }, one.name)));
  showThreshold();
}

function showThreshold() {
  const one = view.class === "" ? null : classes[Number(view.class)];
  element("threshold").disabled = !one;
  element("threshold").value = one ? one.threshold : 0.5;
  element("threshold-value").textContent = one ? one.threshold.toFixed(2) : "choose a label";
  element("ask-scope").textContent = one ? `about ${one.name}` : "about all labels; choose one above to ask about it alone";
}

let latest = 0;
export async function refresh() {
  const mine = ++latest;
  const query = new URLSearchParams(view).toString();
  const page = await get(`/api/page?${query}`);
  if (mine !== latest) return; // a newer one is on its way
  shown = page.images;
  view.page = page.page;
  element("gallery").replaceChildren(...shown.map(tile));
  element("shown").textContent = `${page.total} ${page.total === 1 ? "picture" : "pictures"}`;
  element("page").textContent = `page ${page.page + 1} of ${page.pages}`;
  element("previous").disabled = page.page === 0;
  element("next").disabled = page.page + 1 >= page.pages;
}

function tile(one, place) {
  const given = one.labels.filter((label) => label.given);
  const near = one.labels.find((label) => !label.given);
  const row = (label, kind) => make("span", { class: kind },
    make("span", {}, label.name + (label.corrected ? " ✎" : "")), make("b", {}, label.score.toFixed(2)));
  return make("li", { class: "tile" },
    make("button", { type: "button", "data-image": one.image, onclick: () => show(place) },
      make("span", { class: "thumb" }, make("img", { src: `/thumbnail/${one.image}?${stamp}`, alt: "", loading: "lazy" })),
      make("span", { class: "file" }, one.name),
      make("span", { class: "given" },
        ...given.slice(0, 6).map((label) => row(label, "yes")),
        ...(given.length > 6 ? [make("span", { class: "near" }, `and ${given.length - 6} more`)] : []),
        ...(given.length ? [] : [make("span", { class: "near" }, "no label")]),
        ...(near ? [row(near, "near")] : []))));
}

const stamp = Date.now(); // pictures are kept by the browser for this visit alone

async function show(place) {
  open = Math.min(Math.max(0, place), shown.length - 1);
  if (!shown.length) return;
  fill(await get(`/api/image/${shown[open].image}`));
  if (!element("dialog").open) element("dialog").showModal();
  element("dialog").focus();
}

function fill(one) {
  const picture = element("dialog-picture");
  element("dialog-name").textContent = one.name;
  element("dialog-caption").textContent = "the picture";
  picture.src = `/picture/${one.image}?${stamp}`;
  picture.alt = one.name;
  element("dialog-previous").disabled = open === 0;
  element("dialog-next").disabled = open + 1 >= shown.length;
  element("dialog-other").value = "";
  element("dialog-labels").replaceChildren(...one.labels.map((label) => {
    const where = make("button", {
      type: "button", class: "where", "aria-pressed": "false", "data-class": label.class,
      onclick: () => heat(one, label, where),
    }, make("span", {}, label.name), make("b", {}, label.score.toFixed(2)));
    const tick = make("input", {
      type: "checkbox", checked: label.given, "aria-label": `${label.name} is in the picture`, "data-class": label.class,
      onchange: act(async (event) => correct(one.image, label.class, event.target.checked)),
    });
    const undo = label.corrected ? [make("button", {
      type: "button", class: "quiet", "aria-label": `undo the correction of ${label.name}`,
      onclick: act(async () => correct(one.image, label.class, null)),
    }, "undo")] : [];
    return make("li", { class: label.given ? "yes" : "" }, tick, where, ...undo);
  }));
}

function heat(one, label, button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  for (const each of element("dialog-labels").querySelectorAll(".where")) each.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", String(on));
  element("dialog-picture").src = on ? `/heat/${one.image}/${label.class}?${stamp}` : `/picture/${one.image}?${stamp}`;
  element("dialog-caption").textContent = on ? `the brighter, the more it looks like: ${label.name}` : "the picture";
}

async function correct(image, label, value) {
  await post("correct", { image, class: label, value });
  fill(await get(`/api/image/${image}`));
  element("dialog-labels").querySelector(`input[data-class="${label}"]`)?.focus();
}

export function openGallery(load) {
  reload = load;
  for (const name of ["class", "sort", "which"]) {
    element(name).addEventListener("change", act(async (event) => {
      view[name] = event.target.value;
      if (name === "class") {
        view.which = view.class === "" ? "all" : "given";
        element("which").value = view.which;
        showThreshold();
      }
      view.page = 0;
      await refresh();
    }));
  }
  let waiting = 0;
  element("threshold").addEventListener("input", (event) => {
    const value = Number(event.target.value);
    const label = Number(view.class);
    element("threshold-value").textContent = value.toFixed(2);
    clearTimeout(waiting);
    waiting = setTimeout(act(async () => {
      await post("threshold", { class: label, value });
      await reload();
    }), 120);
  });
  element("previous").addEventListener("click", act(async () => { view.page -= 1; await turn(); }));
  element("next").addEventListener("click", act(async () => { view.page += 1; await turn(); }));
  element("dialog-previous").addEventListener("click", act(async () => show(open - 1)));
  element("dialog-next").addEventListener("click", act(async () => show(open + 1)));
  element("dialog").addEventListener("keydown", act(async (event) => {
    if (event.target.tagName === "SELECT") return;
    if (event.key === "ArrowLeft" && open > 0) await show(open - 1);
    if (event.key === "ArrowRight" && open + 1 < shown.length) await show(open + 1);
  }));
  element("dialog").addEventListener("close", act(async () => {
    const image = shown[open]?.image;
    await reload();
    element("gallery").querySelector(`button[data-image="${image}"]`)?.focus();
  }));
  element("dialog-other").addEventListener("change", act(async (event) => {
    if (event.target.value !== "") await correct(shown[open].image, Number(event.target.value), true);
  }));
}

async function turn() {
  await refresh();
  element("results").scrollIntoView({ block: "start" });
}
