// Choosing a folder of this machine, from the root down.

import { act, counted, element, make, post } from "./api.js";

let here = { path: "" };

const join = (path, name) => (path && name ? `${path}/${name}` : path || name);

async function open(path) {
  here = await post("folders", { path });
  element("folder-path").textContent = join(here.root.replace(/\/$/, ""), here.path);
  element("folder-up").disabled = here.parent === null;
  element("folder-list").replaceChildren(...here.folders.map((name) =>
    make("li", {}, make("button", { type: "button", onclick: act(() => open(join(here.path, name))) }, name))));
  const unlisted = here.unlisted ? ` and ${counted(here.unlisted, "more folder", "more folders")}` : "";
  element("folder-count").textContent = `${counted(here.folders.length, "folder", "folders")}${unlisted} and `
    + `${counted(here.pictures, "picture", "pictures")} lie here.`;
  element("folder-list").scrollTop = 0;
  (element("folder-list").querySelector("button") || element("folder-take")).focus();
}

// `take(path)` is what to do with the folder that is chosen.
export function openFolders(take) {
  element("choose-folder").addEventListener("click", act(async () => {
    element("folders").showModal();
    await open(here.path).catch(() => open(""));
  }));
  element("folder-up").addEventListener("click", act(() => open(here.parent)));
  element("folder-take").addEventListener("click", act(async () => {
    await take(here.path);
    element("folders").close();
  }));
}
