// The tag tool: a picture -> what the tagger sees in it, corrected by a person -> a line for the next training.

import { Latest, readTags } from "./api.js";
import { keep } from "./corrections.js";
import { byId, h, icon, onFile, say, show } from "./dom.js";
import { recall, remember } from "./memory.js";
import { megabytes, words } from "./words.js";

const WHO = "genga.reviewer"; // what the browser remembers it under
const UNSAID = ""; // the value of a group's choice that says nothing; a yes/no tag of which nothing is said is indeterminate
const KEPT = "Kept. `genga label pull` takes these tags into the labels; they count if this very picture is among the imported faces.";

export class TagTool {
  #release = null;
  #file = null; // the picture that is open
  #latest = null; // the file chosen last
  #unread = null; // the picture that is open, until it is read
  #lost = null; // a file that nothing answered for
  #touched = new Set(); // questions that the person has answered
  #made = ""; // what is said of them, until they are kept
  #kept = ""; // answers that were kept or are on their way, as long as they are shown
  #reader;

  constructor() {
    this.#reader = new Latest({
      work: (file, signal) => readTags(file, file.name, signal),
      done: (answer, file) => this.#showGuess(answer, file),
      failed: (error, file) => this.#fail(error, file),
    });
    byId("tags-open").addEventListener("click", () => byId("tags-file").click());
    onFile(byId("tags-file"), (file) => this.take(file));
    byId("tags-questions").addEventListener("change", ({ target }) => {
      this.#touched.add(question(target));
      this.#say(this.#made); // no longer what was kept
    });
    byId("tags-form").addEventListener("submit", (event) => event.preventDefault()); // Enter in a field keeps nothing
    byId("tags-keep").addEventListener("click", () => this.#keep());
    byId("tags-who").value = reviewer();
    byId("tags-who").addEventListener("change", () => remember(WHO, byId("tags-who").value.trim()));
  }

  /** A release that asks the same leaves what a person has corrected so far. */
  open(release) {
    const asked = JSON.stringify([this.#release?.groups, this.#release?.flags]);
    this.#release = release;
    const isSame = JSON.stringify([release.groups, release.flags]) === asked;
    if (!isSame) this.#ask();
    if (this.#file && !isSame) this.#read(this.#file);
    else this.again();
  }

  /** Asks for what nothing answered. */
  again() {
    if (this.#lost) this.#read(this.#lost);
  }

  /** Nothing is said yet: what nobody answers stays unknown. */
  #ask() {
    this.#touched.clear();
    const groups = Object.entries(this.#release.groups).map(([name, values]) => group(name, values));
    byId("tags-questions").replaceChildren(...groups, flagBoxes(this.#release.flags));
    for (const input of byId("tags-questions").querySelectorAll("input")) answer(input, undefined);
  }

  #read(file) {
    this.#lost = null;
    if (file === this.#file) this.#unread = file;
    say(byId("tags-message"));
    this.#reader.ask(file);
  }

  /** Nobody answers for a picture that the server refuses; what was no picture leaves the one before as it is. */
  #fail(error, file) {
    say(byId("tags-message"), error.message);
    if (error.status === 0) this.#lost = file;
    if (file === this.#file) {
      this.#unread = null;
      if (error.status >= 400 && error.status < 500) byId("tags-keep").disabled = true;
    } else if (this.#unread) this.#reader.ask(this.#unread); // was given up for the other
  }

  /** Another picture is open once the browser can show it or the server has read it. */
  async take(file) {
    say(byId("tags-message"));
    if (file.size > this.#release.limits.upload_bytes) {
      say(byId("tags-message"), `The picture has ${megabytes(file.size)}; at most ${megabytes(this.#release.limits.upload_bytes)} are read.`);
      return;
    }
    this.#latest = file;
    const url = URL.createObjectURL(file);
    const isReadable = await show(new Image(), url);
    const isLate = file !== this.#latest; // another was opened meanwhile
    if (isReadable && !isLate) this.#open(file, url);
    else URL.revokeObjectURL(url);
    if (!isLate) this.#read(file);
  }

  /** `url`: null where the browser cannot show it. */
  #open(file, url) {
    this.#reader.cancel();
    this.#file = file;
    this.#unread = null;
    this.#ask();
    this.#say(file.name);
    if (url) {
      URL.revokeObjectURL(byId("tags-picture").src);
      byId("tags-picture").src = url;
    }
    byId("tags-picture").hidden = !url;
    byId("tags-keep").disabled = false;
  }

  /** Where the tagger abstains nothing is chosen, so that nobody keeps what it does not know. What the person has said meanwhile stays. */
  #showGuess({ groups, flags, unsure, version }, file) {
    if (file !== this.#file) {
      if (file !== this.#latest) return;
      this.#open(file, null);
    }
    this.#unread = null;
    for (const input of byId("tags-questions").querySelectorAll("input")) {
      const asked = question(input);
      if (!this.#touched.has(asked)) answer(input, unsure.includes(asked) ? undefined : (groups[asked] ?? flags[asked]));
    }
    for (const legend of byId("tags-questions").querySelectorAll("legend")) legend.lastChild.textContent = doubt(legend.dataset.name, groups, unsure);
    this.#say(`Tags guessed by ${version}. Correct what is wrong, then keep them.`);
  }

  #say(made) {
    this.#made = made;
    this.#kept = "";
    say(byId("tags-made"), made);
  }

  #keep() {
    const file = this.#file;
    const labels = {};
    for (const input of byId("tags-questions").querySelectorAll("input")) {
      if (input.indeterminate) continue;
      if (input.type === "checkbox") labels[question(input)] = input.checked;
      else if (input.checked && input.value !== UNSAID) labels[question(input)] = input.value;
    }
    if (!Object.keys(labels).length) {
      say(byId("tags-message"), "Nothing is answered yet; choose at least one tag.");
      return;
    }
    const answers = JSON.stringify(labels);
    this.#kept = answers;
    say(byId("tags-made"), `Keeping what is said of ${file.name} …`);
    keep(file, { by: reviewer(), labels }, (isKept) => {
      if (file !== this.#file || answers !== this.#kept) return;
      if (isKept) say(byId("tags-message"));
      say(byId("tags-made"), isKept ? KEPT : this.#made);
    });
  }
}

/** The name under which this browser's corrections are kept. */
export const reviewer = () => recall(WHO, (value) => typeof value === "string" && value.trim() !== "", "page");

/** The group or yes/no tag that an input answers. */
const question = (input) => (input.type === "radio" ? input.name.slice(4) : input.value);

/** Shows what is said of its question: a value of the group, true or false, or undefined where nothing is. */
function answer(input, said) {
  input.checked = input.type === "radio" ? input.value === (said ?? UNSAID) : said === true;
  input.indeterminate = input.type === "checkbox" && said === undefined;
}

function group(name, values) {
  const option = (value, text) => h("label", { class: "check" }, h("input", { type: "radio", name: `tag-${name}`, value }), text);
  return fieldset(name, words(name), [...values.map((value) => option(value, words(value))), option(UNSAID, "Not said")]);
}

/** A box for each, and beside it a way back to where nothing is said: a button, or Delete on the box. */
function flagBoxes(names) {
  const boxes = names.map((name) => {
    const box = h("input", { type: "checkbox", value: name });
    const unsay = () => {
      answer(box, undefined);
      box.dispatchEvent(new Event("change", { bubbles: true }));
    };
    box.addEventListener("keydown", (event) => ["Delete", "Backspace"].includes(event.key) && unsay());
    const button = h("button", { type: "button", class: "unsay", "aria-label": `${words(name)}: not said`, title: "Not said (Delete)", onclick: unsay }, icon("none"));
    return h("span", { class: "flag" }, h("label", { class: "check" }, box, words(name)), button);
  });
  return fieldset("flags", "Tick what is there", boxes);
}

const fieldset = (name, title, options) =>
  h("fieldset", { class: "question" }, h("legend", { "data-name": name }, title, h("span", { class: "doubt" })), ...options);

/** What stands behind the title of a question, "" where the tagger is sure. */
function doubt(name, groups, unsure) {
  if (name in groups) return unsure.includes(name) ? `: not sure, perhaps ${words(groups[name]).toLowerCase()}` : "";
  return unsure.some((each) => !(each in groups)) ? ": a dash is where the tagger is not sure" : "";
}
