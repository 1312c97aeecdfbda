// Talking to the server, and small helpers. All text from pictures and words goes in as text, never as HTML.

export const element = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export const counted = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Where the user looks: in the dialog that is open, else on the page.
export function say(text, good = false) {
  for (const place of document.querySelectorAll(".message")) {
    const dialog = place.closest("dialog");
    const here = dialog ? dialog.open : !document.querySelector("dialog[open]");
    place.querySelector("span").textContent = here ? text : "";
    place.classList.toggle("good", good);
    place.hidden = !here || !text;
  }
}

async function answer(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    body = { error: `the server answered ${response.status}` };
  }
  if (!response.ok) throw new Error(body.error || `the server answered ${response.status}`);
  return body;
}

async function ask(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("piaa does not answer. Is it still running? Start 'piaa app' again if it is not.");
  }
}

const own = { "x-piaa": "1" };
export const get = async (path) => answer(await ask(path));
export const post = async (path, body = {}) =>
  answer(await ask(`/api/${path}`, { method: "POST", headers: own, body: JSON.stringify(body) }));
export const upload = async (file) =>
  answer(await ask(`/api/upload?name=${encodeURIComponent(file.name)}`, { method: "POST", headers: own, body: file }));

// Saves what the server sends under the name that it gives; an error is thrown, not saved.
export async function save(path) {
  const response = await ask(path);
  if (!response.ok) await answer(response);
  const name = decodeURIComponent(response.headers.get("content-disposition").split("''")[1]);
  const address = URL.createObjectURL(await response.blob());
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return name;
}

// Wraps what a button does: an error is shown, not lost.
export function act(work) {
  return async (event) => {
    say("");
    try {
      await work(event);
    } catch (error) {
      say(error.message);
    }
  };
}
