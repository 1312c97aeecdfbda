// The pictures with their labels: pages of them, and the threshold of a label.

import { act, counted, element, get, make, post } from "./api.js";
import { openPicture, show } from "./picture.js";
import { showScope } from "./questions.js";

const view = { class: "", sort: "doubt", which: "all", page: 0 };
let run = 0;
let classes = [];
let moving = false; // the slider, so that an answer about an earlier place does not pull it back
let reload = async () => {};

export function showClasses(state) {
  if (state.run !== run) Object.assign(view, { class: "", which: "all", page: 0 });
  ({ run, classes } = state);
  if (view.class !== "" && Number(view.class) >= classes.length) view.class = "";
  element("class").replaceChildren(make("option", { value: "" }, "all labels"),
    ...classes.map((one) => make("option", { value: one.class }, `${one.name} (${one.count})`)));
  for (const name of ["class", "sort", "which"]) element(name).value = view[name];
  showThreshold();
}

function showThreshold() {
  const one = view.class === "" ? null : classes[Number(view.class)];
  element("threshold").disabled = element("threshold-reset").disabled = !one;
  if (!moving) {
    element("threshold").value = one ? one.threshold : 0.5;
    element("threshold-value").textContent = one ? one.threshold.toFixed(2) : "choose a label";
  }
  showScope(run, one);
}

let latest = 0;
export async function refresh() {
  const mine = ++latest;
  const page = await get(`/api/page?${new URLSearchParams(view)}`);
  if (mine !== latest) return; // a newer one is on its way
  view.page = page.page;
  element("gallery").replaceChildren(...page.images.map((one, place) => tile(one, place, page)));
  element("shown").textContent = counted(page.total, "picture", "pictures");
  element("page").textContent = `page ${page.page + 1} of ${page.pages}`;
  element("previous").disabled = page.page === 0;
  element("next").disabled = page.page + 1 >= page.pages;
}

function tile(one, place, page) {
  const chosen = one.labels.find((label) => String(label.class) === view.class);
  const rest = one.labels.filter((label) => label !== chosen);
  const given = [...(chosen?.given ? [chosen] : []), ...rest.filter((label) => label.given)];
  const near = chosen && !chosen.given ? chosen : rest.find((label) => !label.given);
  const row = (label, kind) => make("span", { class: label === chosen ? `${kind} chosen` : kind },
    make("span", {}, label.name + (label.corrected ? " ✎" : "")), make("b", {}, label.score.toFixed(2)));
  const image = make("img", { src: `/thumbnail/${page.run}/${one.image}`, alt: "", loading: "lazy" });
  image.addEventListener("error", () => image.replaceWith("cannot be read any more"));
  return make("li", { class: "tile" },
    make("button", { type: "button", "data-image": one.image, onclick: act(() => show(page, place, classes)) },
      make("span", { class: "thumb" }, image),
      make("span", { class: "file" }, one.checked ? make("b", { class: "yes", "aria-label": "checked" }, "✓ ") : "", one.name,
        one.foreign ? " (unlike the others)" : ""),
      make("span", { class: "given" },
        ...given.slice(0, 6).map((label) => row(label, "yes")),
        ...(given.length > 6 ? [make("span", { class: "near" }, `and ${given.length - 6} more`)] : []),
        ...(given.length ? [] : [make("span", { class: "near" }, "no label")]),
        ...(near ? [row(near, "near")] : []))));
}

let waiting = 0;
function moveThreshold(value) {
  const label = Number(view.class);
  moving = true;
  element("threshold").value = value;
  element("threshold-value").textContent = value.toFixed(2);
  clearTimeout(waiting);
  waiting = setTimeout(act(async () => {
    moving = false;
    await post("threshold", { run, class: label, value });
    await reload();
  }), 120);
}

function choose(name, value) {
  view[name] = value;
  view.page = 0;
  if (name === "class" && (view.which === "all" || view.which === "given")) {
    view.which = value === "" ? "all" : "given";
    element("which").value = view.which;
  }
  showThreshold();
}

export function openGallery(load) {
  reload = load;
  for (const name of ["class", "sort", "which"]) {
    element(name).addEventListener("change", act(async (event) => {
      choose(name, event.target.value);
      await refresh();
    }));
  }
  element("threshold").addEventListener("input", (event) => moveThreshold(Number(event.target.value)));
  element("threshold-reset").addEventListener("click", () => moveThreshold(0.5));
  element("previous").addEventListener("click", act(() => turn(-1)));
  element("next").addEventListener("click", act(() => turn(1)));
  openPicture(async (image) => {
    await reload();
    element("gallery").querySelector(`button[data-image="${image}"]`)?.focus();
  });
}

async function turn(step) {
  view.page += step;
  await refresh();
  element("results").scrollIntoView({ block: "start" });
}
