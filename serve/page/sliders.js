// The controls of a character: one slider per yes/no tag or ordered group, a palette with one strength slider per one-of group.
// Each control is {key, node, value(), set(tags), randomise()}; `value()` gives {slider name: number}, zeros left out.

import { h, icon, press, setIcon } from "./dom.js";
import { signed, words } from "./words.js";

const STEP = 0.05;
const COLOURS = {
  blonde: "#f0cf73", brown: "#8a5b40", black: "#2a2a33", blue: "#4a70d2", pink: "#f29cbd", purple: "#8b5cc2", aqua: "#66cfd9",
  green: "#5fae6c", gray: "#9a9fa9", red: "#c83d3d", white: "#fbfaf6", orange: "#ea8d3a", yellow: "#edcb41",
};

const rounded = (value) => Math.round(Math.max(-1, Math.min(1, value)) * 100) / 100;

/** Fills the track of a range between its resting value and where it stands. */
export function paint(range, rest) {
  const [min, max] = [Number(range.min), Number(range.max)];
  const share = (value) => (value - min) / (max - min);
  const [low, high] = [Number(range.value), rest].sort((a, b) => a - b);
  range.style.setProperty("--low", share(low));
  range.style.setProperty("--high", share(high));
  range.classList.toggle("below", Number(range.value) < rest);
}

/** A finger that goes on to scroll the page moved no range: `set` gets the value that stood there when it came down. */
export function takeBack(range, set) {
  let before = null;
  range.addEventListener("pointerdown", () => (before = Number(range.value)));
  range.addEventListener("pointercancel", () => before !== Number(range.value) && set(before));
}

/** A range from -1 to 1 that rests at 0: arrows move it by 0.05, with Shift by 0.01; Delete or a double click sets it to 0. */
function bipolar(label, onchange) {
  const range = h("input", { type: "range", min: -1, max: 1, step: 0.01, value: 0, "aria-label": label });
  // the range says its value itself; twelve that Random moved would be twelve bare numbers
  const reading = h("output", { "aria-live": "off" }, "0.00");
  const show = () => {
    reading.textContent = signed(Number(range.value));
    range.setAttribute("aria-valuetext", reading.textContent);
    paint(range, 0);
  };
  const move = (value) => {
    range.value = rounded(value);
    show();
    onchange();
  };
  range.addEventListener("input", () => move(Number(range.value)));
  range.addEventListener("dblclick", () => move(0));
  takeBack(range, move);
  range.addEventListener("keydown", (event) => {
    const side = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") move(0);
    else if (side) move(Number(range.value) + side * (event.shiftKey ? 0.01 : STEP));
    else return;
    event.preventDefault();
  });
  show();
  return {
    range,
    reading,
    get value() {
      return Number(range.value);
    },
    set value(value) {
      range.value = rounded(value);
      show();
    },
  };
}

function lock(label, locks, key) {
  const button = h("button", { type: "button", class: "button icon lock", "aria-pressed": locks.has(key), "aria-label": `Lock ${label.toLowerCase()}` }, icon("unlock"));
  button.title = "Keep this when drawing at random";
  const show = () => {
    press(button, locks.has(key));
    setIcon(button, locks.has(key) ? "lock" : "unlock");
  };
  button.addEventListener("click", () => {
    if (!locks.delete(key)) locks.add(key);
    show();
  });
  show();
  return button;
}

/** What a slider does, for its tooltip: how strongly it works, and what it pulls along. */
function effectOf(slider) {
  const pulled = Object.entries(slider.drag ?? {})
    .filter(([, change]) => Math.abs(change) >= 0.15)
    .sort(([, a], [, b]) => Math.abs(b) - Math.abs(a))
    .slice(0, 3)
    .map(([name]) => words(name.replace("=", " ")).toLowerCase());
  return `A full move changes this tag's score by ${slider.effect.toFixed(2)}${pulled.length ? `; it also moves ${pulled.join(", ")}` : ""}.`;
}

const drawnMark = () => h("abbr", { class: "drawn", title: "Learned from drawn faces only" }, "drawn");

function dial(slider, ends, { locks, marked, onchange }) {
  const label = words(slider.name);
  const control = bipolar(label, onchange);
  const node = h(
    "div",
    { class: "dial", "data-slider": slider.name, title: effectOf(slider) },
    h("span", { class: "name" }, label, marked ? drawnMark() : null),
    control.range,
    control.reading,
    lock(label, locks, slider.name),
    ends ? h("span", { class: "ends", "aria-hidden": "true" }, h("span", {}, ends[0]), h("span", {}, ends.at(-1))) : null,
  );
  return {
    key: slider.name,
    node,
    value: () => (control.value ? { [slider.name]: control.value } : {}),
    set: (tags) => (control.value = tags[slider.name] ?? 0),
    // most tags rest, some are clearly there: a face with every tag half on looks like no one
    randomise: () => (control.value = ends ? Math.random() * 2 - 1 : Math.random() < 0.3 ? 0.4 + Math.random() * 0.6 : 0),
  };
}

function palette(group, sliders, { locks, marked, onchange }) {
  const label = words(group);
  const options = new Map(sliders.map((slider) => [slider.name, swatch(group, slider.name, slider.name.split("=")[1])]));
  const none = swatch(group, "", "as it comes");
  const strength = bipolar(`${label}: strength`, onchange);
  const chosen = h("span", { class: "name" }, "As it comes");
  let name = "";

  function choose(next, value) {
    name = next;
    (options.get(name) ?? none).input.checked = true;
    strength.value = name ? value : 0;
    strength.range.disabled = !name;
    chosen.textContent = name ? words(name.split("=")[1]) : "As it comes";
  }
  for (const [next, { input }] of [["", none], ...options]) {
    input.addEventListener("change", () => {
      choose(next, strength.value || 1);
      onchange();
    });
  }
  const node = h(
    "fieldset",
    { class: "palette", "data-group": group },
    h("legend", {}, label, marked ? drawnMark() : null),
    h("div", { class: "swatches" }, none.node, ...[...options.values()].map((each) => each.node)),
    h("div", { class: "dial", title: "" }, chosen, strength.range, strength.reading, lock(label, locks, group)),
  );
  choose("", 0);
  return {
    key: group,
    node,
    value: () => (name && strength.value ? { [name]: strength.value } : {}),
    set(tags) {
      const next = [...options.keys()].find((each) => tags[each]) ?? "";
      choose(next, tags[next] ?? 0);
    },
    randomise() {
      const names = ["", ...options.keys()];
      choose(names[Math.floor(Math.random() * names.length)], 0.5 + Math.random() * 0.5);
    },
  };
}

function swatch(group, name, text) {
  const input = h("input", { type: "radio", name: `palette-${group}`, value: name, "aria-label": text });
  const value = name.split("=")[1];
  const dot = h("span", { class: "dot" }, name ? null : icon("none"));
  if (COLOURS[value]) dot.style.background = COLOURS[value];
  else if (name) dot.append(text.slice(0, 2));
  return { input, node: h("label", { class: "swatch", title: words(text) }, input, dot) };
}

/** Controls of one family, in the order of the vocabulary: palettes, then ordered groups, then yes/no tags. */
export function buildControls(sliders, release, locks, onchange, isMarked) {
  const named = (names) => sliders.filter((slider) => names.includes(slider.name));
  const shared = (slider) => ({ locks, onchange, marked: isMarked(slider) });
  const palettes = Object.keys(release.groups)
    .filter((group) => !release.ordered.includes(group))
    .map((group) => [group, sliders.filter((slider) => slider.name.startsWith(`${group}=`))])
    .filter(([, own]) => own.length)
    .map(([group, own]) => palette(group, own, shared(own[0])));
  const ordered = named(release.ordered).map((slider) => dial(slider, release.groups[slider.name], shared(slider)));
  const flags = named(release.flags).map((slider) => dial(slider, null, shared(slider)));
  return { palettes, ordered, flags, all: [...palettes, ...ordered, ...flags] };
}
