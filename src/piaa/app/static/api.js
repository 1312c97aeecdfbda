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

export function say(text) {
  element("message").textContent = text;
  element("message").hidden = !text;
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

export const get = (path) => fetch(path).then(answer);

export const post = (path, body = {}) =>
  fetch(`/api/${path}`, { method: "POST", headers: { "x-piaa": "1" }, body: JSON.stringify(body) }).then(answer);

export const upload = (file) =>
  fetch(`/api/upload?name=${encodeURIComponent(file.name)}`, {
    method: "POST", headers: { "x-piaa": "1" }, body: file,
  }).then(answer);

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
