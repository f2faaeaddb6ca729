// The tag tool: a picture -> what the tagger sees in it, corrected by a person -> a line for the next training.

import { Latest, readTags } from "./api.js";
import { keep } from "./corrections.js";
import { byId, h, say, show } from "./dom.js";
import { recall, remember } from "./memory.js";
import { megabytes, words } from "./words.js";

const WHO = "genga.reviewer"; // what the browser remembers it under

export class TagTool {
  #release = null;
  #file = null;
  #touched = new Set(); // questions that the person has answered
  #reader;

  constructor() {
    this.#reader = new Latest({
      work: (file, signal) => readTags(file, file.name, signal),
      done: (answer) => this.#showGuess(answer),
      failed: (error) => say(byId("tags-message"), error.message),
    });
    byId("tags-open").addEventListener("click", () => byId("tags-file").click());
    byId("tags-file").addEventListener("change", () => this.#open());
    byId("tags-questions").addEventListener("change", ({ target }) => this.#touched.add(question(target)));
    byId("tags-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep();
    });
    byId("tags-who").value = reviewer();
    byId("tags-who").addEventListener("change", () => remember(WHO, byId("tags-who").value.trim()));
  }

  /** A release that asks the same leaves what a person has corrected so far. */
  open(release) {
    const asked = JSON.stringify([this.#release?.groups, this.#release?.flags]);
    this.#release = release;
    if (JSON.stringify([release.groups, release.flags]) === asked) return;
    this.#ask();
    if (this.#file) this.#reader.ask(this.#file);
  }

  /** Nothing is said yet: what nobody answers stays unknown. */
  #ask() {
    this.#touched.clear();
    const groups = Object.entries(this.#release.groups).map(([name, values]) => group(name, "radio", values));
    byId("tags-questions").replaceChildren(...groups, group("flags", "checkbox", this.#release.flags));
    for (const box of byId("tags-questions").querySelectorAll("[type=checkbox]")) box.indeterminate = true;
  }

  async #open() {
    const [file] = byId("tags-file").files;
    byId("tags-file").value = "";
    if (!file) return;
    say(byId("tags-message"));
    if (file.size > this.#release.limits.upload_bytes) {
      say(byId("tags-message"), `The picture has ${megabytes(file.size)}; at most ${megabytes(this.#release.limits.upload_bytes)} are read.`);
      return;
    }
    this.#file = file;
    this.#reader.cancel();
    this.#ask();
    byId("tags-made").textContent = file.name;
    const url = URL.createObjectURL(file);
    byId("tags-picture").hidden = !(await show(byId("tags-picture"), url));
    if (file !== this.#file) return; // another was opened meanwhile
    byId("tags-keep").disabled = false;
    this.#reader.ask(file);
  }

  /** Where the tagger abstains nothing is chosen, so that nobody keeps what it does not know. What the person has said meanwhile stays. */
  #showGuess({ groups, flags, unsure, version }) {
    for (const input of byId("tags-questions").querySelectorAll("input")) {
      const isRadio = input.type === "radio";
      const asked = question(input);
      if (this.#touched.has(asked)) continue;
      const isUnsure = unsure.includes(asked);
      input.checked = isRadio ? !isUnsure && groups[asked] === input.value : flags[asked] === true;
      input.indeterminate = !isRadio && isUnsure;
    }
    for (const legend of byId("tags-questions").querySelectorAll("legend")) legend.lastChild.textContent = doubt(legend.dataset.name, groups, unsure);
    byId("tags-made").textContent = `Tags guessed by ${version}. Correct what is wrong, then keep them.`;
  }

  async #keep() {
    const file = this.#file;
    const labels = {};
    for (const input of byId("tags-questions").querySelectorAll("input")) {
      if (input.indeterminate) continue;
      if (input.type === "checkbox") labels[question(input)] = input.checked;
      else if (input.checked) labels[question(input)] = input.value;
    }
    if (!(await keep(file, { by: reviewer(), labels })) || file !== this.#file) return;
    say(byId("tags-message"));
    byId("tags-made").textContent = "Kept. `genga label pull` takes it into the labels.";
  }
}

/** The name under which this browser's corrections are kept. */
export const reviewer = () => recall(WHO, (value) => typeof value === "string" && value.trim() !== "", "page");

/** The group or yes/no tag that an input answers. */
const question = (input) => (input.type === "radio" ? input.name.slice(4) : input.value);

function group(name, type, values) {
  const options = values.map((value) => h("label", { class: "check" }, h("input", { type, name: `tag-${name}`, value }), words(value)));
  const title = name === "flags" ? "Tick what is there" : words(name);
  return h("fieldset", { class: "question" }, h("legend", { "data-name": name }, title, h("span", { class: "doubt" })), ...options);
}

/** What stands behind the title of a question, "" where the tagger is sure. */
function doubt(name, groups, unsure) {
  if (name in groups) return unsure.includes(name) ? `: not sure, perhaps ${words(groups[name]).toLowerCase()}` : "";
  return unsure.some((each) => !(each in groups)) ? ": a dash is where the tagger is not sure" : "";
}
