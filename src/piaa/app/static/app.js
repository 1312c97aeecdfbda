// The page: pictures and words in, progress, and what is taken away. The other files do the rest.

import { act, counted, element, get, make, post, save, say, upload } from "./api.js";
import { openFolders } from "./folders.js";
import { openGallery, refresh, showClasses } from "./gallery.js";
import { openQuestions } from "./questions.js";

let drawn = false; // whether the example words were filled in
let corrections = 0;

function showState(state) {
  const { work } = state;
  corrections = state.corrections;
  const skipped = state.skipped ? ` ${counted(state.skipped, "other file is", "other files are")} left out.` : "";
  element("pictures").textContent = state.pictures
    ? `${counted(state.pictures, "picture", "pictures")}.${skipped}` : "No picture yet.";
  element("model").replaceChildren(...modelText(state));
  element("words").disabled = Boolean(state.classifier);
  showWork(work);
  const ready = !work.running && state.classes.length > 0;
  for (const id of ["results", "check", "leave"]) element(id).hidden = !ready;
  element("sidecars").hidden = !state.in_folder;
  return ready;
}

function modelText(state) {
  if (state.classifier) return [`Labels and thresholds come from ${state.classifier}.`];
  if (state.model !== "embedded") return [`Model: ${state.model}`];
  return ["The built-in model knows drawn shapes alone. For photographs, start with: ",
    make("code", { class: "code" }, "piaa app --model NAME")];
}

function showWork(work) {
  element("working").hidden = !work.running;
  element("phase").textContent = work.total ? `${work.phase}: ${work.done} of ${work.total}` : work.phase;
  element("progress").max = work.total || 1;
  if (work.total) element("progress").value = work.done;
  else element("progress").removeAttribute("value");
  for (const id of ["run", "examples", "clear", "files", "choose-folder"]) element(id).disabled = work.running;
}

function showResults(state) {
  element("summary").textContent = `${counted(state.tagged, "picture", "pictures")}, `
    + `${counted(state.classes.length, "label", "labels")}.`;
  element("notes").replaceChildren(...state.notes.map((note) => make("li", {}, note)));
  showFailed(state);
  element("downloads").replaceChildren(...Object.entries(state.downloads).map(([name, what]) => make("li", {},
    make("button", { type: "button", class: "link", "data-format": name, onclick: act(async () => {
      say(`Saved as ${await save(`/export/${name}`)}.`, true);
    }) }, what))));
  showClasses(state);
}

function showFailed(state) {
  const lines = [...state.failed.map((one) => `${one.name}: ${one.reason}`), ...state.unreadable];
  const count = state.failed_count + state.unreadable.length;
  element("failed").hidden = !count;
  element("failed").querySelector("summary").textContent = `${counted(count, "thing", "things")} could not be read`;
  if (!state.unreadable.length) {
    element("failed").querySelector("summary").textContent = `${counted(count, "picture", "pictures")} could not be read`;
  }
  const more = count > lines.length ? [`and ${counted(count - lines.length, "more", "more")}`] : [];
  element("failed").querySelector("ul").replaceChildren(...[...lines, ...more].map((line) => make("li", {}, line)));
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
  if (state.work.error) say(state.work.error);
  else if (state.classes.length) element("results").scrollIntoView({ block: "start" });
}

// Corrections belong to pictures: with other pictures they are gone.
function agreed() {
  const what = counted(corrections, "correction", "corrections");
  return !corrections || window.confirm(`Other pictures: your ${what} will be forgotten. Go on?`);
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
  if (wrong.length) say(`${counted(wrong.length, "file was", "files were")} not taken. ${wrong.slice(0, 3).join("; ")}`);
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

function openPictures() {
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
  openFolders(async (path) => {
    if (!agreed()) return;
    await post("folder", { path });
    await load();
  });
  element("examples").addEventListener("click", act(async () => {
    if (!agreed()) return;
    element("pictures").textContent = "Drawing…";
    await post("examples");
    const state = await load();
    if (!element("words").value.trim() && !state.classifier) {
      element("words").value = state.example_words.join("\n");
      drawn = true;
    }
  }));
  element("clear").addEventListener("click", act(async () => {
    if (!agreed()) return;
    await post("clear");
    if (drawn) element("words").value = "";
    drawn = false;
    await load();
  }));
}

function openWork() {
  element("run").addEventListener("click", act(async () => {
    await post("run", { words: element("words").value });
    element("working").hidden = false;
    element("working").scrollIntoView({ block: "nearest" });
    await follow();
  }));
  element("stop").addEventListener("click", act(() => post("stop")));
  element("sidecars").addEventListener("click", act(async () => {
    const { written, failed } = await post("sidecars");
    const wrong = failed.length ? ` Not for: ${failed.join("; ")}` : "";
    say(`Keywords lie beside ${counted(written, "picture", "pictures")} now.${wrong}`, !failed.length);
  }));
  for (const button of document.querySelectorAll(".message button")) button.addEventListener("click", () => say(""));
}

openPictures();
openWork();
openGallery(load);
openQuestions(load);
act(async () => {
  const state = await load();
  if (state.work.running) await follow();
})();
