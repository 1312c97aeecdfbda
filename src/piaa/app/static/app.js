// The page: pictures and words in, progress, and what is taken away. gallery.js and questions.js do the rest.

import { act, element, get, make, post, say, upload } from "./api.js";
import { openGallery, refresh, showClasses } from "./gallery.js";
import { openQuestions } from "./questions.js";

let drawn = false; // whether the example words were filled in

function showState(state) {
  const { work } = state;
  const skipped = state.skipped ? ` ${state.skipped} other files are left out.` : "";
  element("pictures").textContent = state.pictures
    ? `${state.pictures} ${state.pictures === 1 ? "picture" : "pictures"}.${skipped}` : "No picture yet.";
  element("model").textContent = state.classifier
    ? `Labels and thresholds come from ${state.classifier}.`
    : state.model === "embedded"
      ? "The built-in model knows drawn shapes alone. For photographs, start with: piaa app --model NAME."
      : `Model: ${state.model}`;
  element("words").disabled = Boolean(state.classifier);
  element("working").hidden = !work.running;
  element("phase").textContent = work.total ? `${work.phase}: ${work.done} of ${work.total}` : work.phase;
  element("progress").max = work.total || 1;
  if (work.total) element("progress").value = work.done;
  else element("progress").removeAttribute("value");
  for (const id of ["run", "examples", "clear", "files", "folder"]) element(id).disabled = work.running;
  if (work.error) say(work.error);
  const ready = !work.running && state.classes.length > 0;
  for (const id of ["results", "check", "leave"]) element(id).hidden = !ready;
  return ready;
}

function showResults(state) {
  const notes = (state.notes || []).map((note) => ` Note: ${note}.`).join("");
  element("summary").textContent = `${state.tagged} pictures, ${state.classes.length} labels.${notes}`;
  const failed = state.failed || [];
  element("failed").hidden = !failed.length;
  element("failed").querySelector("summary").textContent = `${failed.length} pictures could not be used`;
  element("failed").querySelector("ul").replaceChildren(
    ...failed.slice(0, 200).map((one) => make("li", {}, `${one.name}: ${one.reason}`)));
  element("downloads").replaceChildren(...Object.entries(state.downloads).map(([name, what]) =>
    make("li", {}, make("a", { href: `/export/${name}`, download: "" , "data-format": name }, what))));
  showClasses(state.classes);
}

async function load() {
  const state = await get("/api/state");
  if (showState(state)) {
    showResults(state);
    await refresh();
  }
  return state;
}

async function follow() {
  for (;;) {
    const state = await get("/api/state");
    if (!state.work.running) break;
    showState(state);
    await new Promise((done) => setTimeout(done, 250));
  }
  const state = await load();
  if (state.classes.length && !state.work.error) element("results").scrollIntoView({ block: "start" });
}

async function take(files) {
  const wrong = [];
  let done = 0;
  for (const file of files) {
    try {
      await upload(file);
      done += 1;
    } catch (error) {
      wrong.push(`${file.name}: ${error.message}`);
    }
    element("pictures").textContent = `${done} of ${files.length} taken`;
  }
  await load();
  if (wrong.length) say(`${wrong.length} files were not taken. ${wrong.slice(0, 3).join("; ")}`);
}

// A dropped folder gives its files, nested ones too.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  async function walk(entry) {
    if (entry.isFile) files.push(await new Promise((good, bad) => entry.file(good, bad)));
    else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((good, bad) => reader.readEntries(good, bad));
        if (!some.length) break;
        for (const each of some) await walk(each);
      }
    }
  }
  for (const entry of entries) await walk(entry);
  return files.filter((file) => !file.name.startsWith("."));
}

element("files").addEventListener("change", act(async (event) => {
  await take([...event.target.files]);
  event.target.value = "";
}));
for (const kind of ["dragover", "dragleave", "drop"]) {
  element("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", kind === "dragover");
  });
}
element("drop").addEventListener("drop", act(async (event) => take(await dropped(event.dataTransfer))));
element("folder-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act(async () => {
    await post("folder", { path: element("folder").value });
    await load();
  })();
});
element("examples").addEventListener("click", act(async () => {
  element("pictures").textContent = "Drawing…";
  await post("examples");
  const state = await load();
  if (!element("words").value.trim() && !state.classifier) {
    element("words").value = state.example_words.join("\n");
    drawn = true;
  }
}));
element("clear").addEventListener("click", act(async () => {
  await post("clear");
  if (drawn) element("words").value = "";
  drawn = false;
  await load();
}));
element("run").addEventListener("click", act(async () => {
  await post("run", { words: element("words").value });
  await follow();
}));
element("sidecars").addEventListener("click", act(async () => {
  const result = await post("sidecars");
  say(`Keywords written beside ${result.written} pictures.${result.failed.length ? ` Not for: ${result.failed[0]}` : ""}`);
}));

openGallery(load);
openQuestions(load);
act(async () => {
  const state = await load();
  if (state.work.running) await follow();
})();
