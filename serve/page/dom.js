// Small words for making and changing elements.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** h("button", {class: "x", "aria-pressed": true, onclick: f}, "text", node): functions become listeners, the rest attributes. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const icon = (name) => svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
}

/** Replaces a list's items. The focus stays on the button that has it: the one of the same name, else the one in its place. */
export function refill(list, items) {
  const held = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  const name = document.activeElement.getAttribute("aria-label");
  list.replaceChildren(...items);
  if (held < 0) return;
  const buttons = [...list.querySelectorAll("button")];
  const button = buttons.find((each) => each.getAttribute("aria-label") === name) ?? buttons[Math.min(held, buttons.length - 1)];
  button?.focus({ preventScroll: true });
}

const named = (control) => [control.id, control.name, control.getAttribute("aria-label")].join();

/** Call what it gives when controls of this form were built anew: the focus goes back to the one of the same name, else to the form's first. */
export function holdFocus(form) {
  const held = form.contains(document.activeElement) ? named(document.activeElement) : null;
  return () => {
    if (held === null || form.contains(document.activeElement)) return;
    const controls = [...form.querySelectorAll(":is(button, input, select):enabled")].filter((control) => control.getClientRects().length);
    (controls.find((control) => named(control) === held) ?? controls[0])?.focus({ preventScroll: true });
  };
}

/** A button that stays down: `press(button, true)`. */
export function press(button, down) {
  button.setAttribute("aria-pressed", String(down));
}

/** Changes a picture only when the new one is decoded, so nothing flashes empty. False when the browser cannot read it. */
export async function show(img, url) {
  const loader = new Image();
  loader.src = url;
  try {
    await loader.decode();
  } catch {
    return false;
  }
  img.src = url;
  img.hidden = false;
  return true;
}

/** Puts a sentence in place, or takes it away: `say(node)`. */
export function say(node, sentence = "") {
  node.textContent = sentence;
}

/** A file chosen in an input goes to `take`; the same one may be chosen again. */
export function onFile(input, take) {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = "";
    if (file) take(file);
  });
}

export function save(url, filename) {
  h("a", { href: url, download: filename }).click();
}

export function saveText(text, filename, type = "application/json") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  save(url, filename);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
