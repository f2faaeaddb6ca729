// The character tool: sliders, seed and truncation -> a face, live; more seeds; a history that brings every setting back.

import { characters, Latest, settled } from "./api.js";
import { byId, h, holdFocus, press, randomSeed, refill, save, say, setIcon, show } from "./dom.js";
import { recall, remember } from "./memory.js";
import { buildShows } from "./shows.js";
import { buildControls, paint, takeBack } from "./sliders.js";
import { described, provenance } from "./words.js";

const HISTORY = "genga.history"; // what the browser remembers it under
const NUM_VARIANTS = 6;
const MAX_HISTORY = 30;
const PSI = 0.7;

const isNumber = (value, low, high) => typeof value === "number" && value >= low && value <= high;
const isTags = (tags) => tags !== null && typeof tags === "object" && Object.values(tags).every((value) => isNumber(value, -1, 1));
const isShows = (shows) => shows === undefined || (shows !== null && typeof shows === "object" && !Array.isArray(shows));
const isSettings = (settings) =>
  settings !== null && typeof settings === "object" && Number.isInteger(settings.seed) && isNumber(settings.seed, 0, 2 ** 32 - 1) &&
  isNumber(settings.psi, 0, 1) && isTags(settings.tags) && isShows(settings.shows) && typeof settings.family === "string";
const isPicture = (url) => typeof url === "string" && url.startsWith("data:image/png;base64,");
const isEntry = (entry) => isSettings(entry?.settings) && isPicture(entry.image) && typeof entry.version === "string";
const isHistory = (entries) => Array.isArray(entries) && entries.every(isEntry);

/** The first of each settings and version. */
function distinct(entries) {
  const keys = entries.map(({ settings, version }) => JSON.stringify([settings, version]));
  return entries.filter((_, entry_idx) => keys.indexOf(keys[entry_idx]) === entry_idx);
}

const group = (name) => name.split("=")[0];

/** What is set now, and of what was set before that which is neither this model's `own` nor of a group in which something is set now. */
function merged(before, now, own) {
  const taken = new Set(Object.keys(now).map(group));
  const left = Object.entries(before).filter(([name]) => !own.includes(name) && !taken.has(group(name)));
  return { ...Object.fromEntries(left), ...now };
}

export class Character {
  #release = null;
  #controls = null; // of the family that is open
  #shows = null;
  #built = ""; // what they were built for
  #locks = new Set();
  #settings = recall("genga.character", isSettings, { family: "", seed: randomSeed(), psi: PSI, tags: {}, shows: {} });
  #history = recall(HISTORY, isHistory, []);
  #cleared = []; // what was in the history until somebody cleared it
  #shown = null;
  #isKept = false; // what is shown has its place in the history
  #isPassing = false; // what is shown came while a control was moved
  #isLost = false; // a request that nothing answered
  #notice = ""; // stays until settings change
  #offset = 0;
  #preview;
  #variants;
  #variantsLater = settled(() => this.#askVariants(), 450);
  #settledLater = settled(() => this.#settle(), 900);

  constructor({ onenlarge }) {
    this.#preview = new Latest({
      work: ({ settings }, signal) => characters({ ...settings, count: 1 }, signal),
      done: (answer, wish) => this.#showPicture(answer, wish),
      failed: (error) => this.#fail(error),
      busy: (busy) => byId("character-sheet").setAttribute("aria-busy", busy),
    });
    this.#variants = new Latest({
      work: (settings, signal) => characters({ ...settings, count: NUM_VARIANTS }, signal),
      done: (answer) => this.#showVariants(answer),
      failed: (error) => this.#fail(error),
    });
    byId("character-download").addEventListener("click", () => save(this.#shown.image, this.#filename()));
    byId("character-enlarge").addEventListener("click", () => onenlarge(this.#shown.image, this.#filename()));
    this.#listen();
    byId("variants").replaceChildren(...Array.from({ length: NUM_VARIANTS }, () => h("li", { class: "empty" })));
    this.#showHistory();
    this.#fillFields();
  }

  #listen() {
    byId("character-controls").addEventListener("submit", (event) => event.preventDefault());
    byId("seed").addEventListener("input", () => this.#seedTyped());
    byId("seed").addEventListener("change", () => this.#change({}, { isPassing: true }));
    byId("seed-random").addEventListener("click", () => this.#change({ seed: randomSeed() }));
    byId("seed-lock").addEventListener("click", () => this.#lockSeed());
    byId("psi").addEventListener("input", () => this.#change({ psi: Number(byId("psi").value) }, { isPassing: true }));
    takeBack(byId("psi"), (psi) => this.#change({ psi }, { isPassing: true }));
    byId("family").addEventListener("change", () => this.#changeFamily(byId("family").value));
    byId("random").addEventListener("click", () => this.#randomise());
    byId("reset").addEventListener("click", () => {
      this.#setControls({}, {});
      this.#change({ psi: PSI, tags: {}, shows: {} });
    });
    byId("variants-next").addEventListener("click", () => {
      this.#offset += NUM_VARIANTS;
      this.#askVariants();
    });
    byId("history-clear").addEventListener("click", () => this.#clear());
    byId("history-undo").addEventListener("click", () => this.#undoClear());
    addEventListener("storage", ({ key }) => {
      if (key !== HISTORY) return;
      this.#recallHistory();
      this.#showHistory();
    });
  }

  /** A release was opened or replaced: its families, sliders and notes. */
  open(release) {
    this.#release = release;
    this.#preview.cancel();
    this.#variants.cancel();
    byId("family").replaceChildren(...release.faces.map((name) => h("option", { value: name }, `${name} · ${release.families[name].resolution} px`)));
    byId("family-field").hidden = release.faces.length < 2;
    if (!release.faces.length) {
      say(byId("character-message"), "This release has no face model; train one with `dvc repro`.");
      return;
    }
    const family = release.faces.includes(this.#settings.family) ? this.#settings.family : release.faces[0];
    this.#changeFamily(family);
  }

  /** Asks for what nothing answered. */
  again() {
    if (this.#isLost) this.#change({});
  }

  #changeFamily(family) {
    const giveBack = holdFocus(byId("character-controls"));
    this.#build(this.#release.families[family]);
    this.#setControls(this.#settings.tags, this.#settings.shows ?? {});
    giveBack();
    this.#change({ family });
  }

  /** Another release of the same model leaves the controls that somebody may have hold of. */
  #build(info) {
    const faces = info.sources.every((source) => /^drawn\b/i.test(source)) ? "drawn" : "real";
    const { groups, ordered: inOrder, flags: yesNo } = this.#release;
    const wanted = JSON.stringify([faces, info.sliders, info.shows, groups, inOrder, yesNo]);
    if (wanted === this.#built) return;
    this.#built = wanted;
    const isMarked = (slider) => faces === "real" && ["drawn", "weak"].includes(slider.learned_from);
    const sliders = info.sliders ?? [];
    const moved = () => this.#change({}, { isPassing: true });
    this.#controls = buildControls(sliders, this.#release, this.#locks, moved, isMarked);
    const { palettes, ordered, flags } = this.#controls;
    const nodes = (controls) => controls.map((control) => control.node);
    byId("sliders").replaceChildren(...nodes(palettes), h("div", { class: "dials" }, ...nodes(ordered), ...nodes(flags)));
    this.#shows = buildShows(info.shows, moved);
    byId("shows").replaceChildren(...this.#shows.nodes);
    byId("shows").hidden = !info.shows.length;
    byId("no-sliders").hidden = sliders.length > 0;
    byId("drawn-note").hidden = !sliders.some(isMarked);
  }

  #setControls(tags, shows) {
    for (const control of this.#controls.all) control.set(tags);
    this.#shows.set(shows);
  }

  #tags() {
    return Object.assign({}, ...this.#controls.all.map((control) => control.value()));
  }

  #seedTyped() {
    const seed = byId("seed").valueAsNumber;
    const fits = Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32;
    if (fits) this.#change({ seed }, { isPassing: true });
    else {
      byId("seed").setAttribute("aria-invalid", true);
      say(byId("character-message"), "A seed is a whole number from 0 to 4,294,967,295.");
    }
  }

  #lockSeed() {
    if (!this.#locks.delete("seed")) this.#locks.add("seed");
    const locked = this.#locks.has("seed");
    press(byId("seed-lock"), locked);
    setIcon(byId("seed-lock"), locked ? "lock" : "unlock");
  }

  #randomise() {
    for (const control of this.#controls?.all ?? []) if (!this.#locks.has(control.key)) control.randomise();
    this.#change(this.#locks.has("seed") ? {} : { seed: randomSeed() });
  }

  /** The one way in which settings change: fields follow, the picture is asked for, other seeds follow when it is quiet. What another model was set
   * to and this one does not have is kept for when that comes back. `isPassing`: one of many while a control is moved or a number typed. */
  #change(part, { isPassing = false } = {}) {
    if ("seed" in part) this.#offset = 0;
    this.#settings = { ...this.#settings, ...part };
    this.#isLost = false;
    this.#notice = "";
    this.#fillFields();
    if (!this.#controls) return;
    const { tags, shows } = this.#settings;
    const { sliders, shows: columns } = this.#release.families[this.#settings.family];
    this.#settings.tags = merged(tags, this.#tags(), (sliders ?? []).map(({ name }) => name));
    this.#settings.shows = merged(shows ?? {}, this.#shows.value(), columns.map(group));
    remember("genga.character", this.#settings);
    this.#preview.ask({ settings: this.#asked(), isPassing });
    this.#variantsLater();
  }

  /** The settings that this model knows. */
  #asked() {
    return { ...this.#settings, tags: this.#tags(), shows: this.#shows.value() };
  }

  #fillFields() {
    const { family, seed, psi } = this.#settings;
    if (byId("seed").valueAsNumber !== seed) byId("seed").value = seed;
    byId("seed").removeAttribute("aria-invalid");
    byId("psi").value = psi;
    byId("psi-value").textContent = psi.toFixed(2);
    paint(byId("psi"), 0);
    byId("family").value = family;
  }

  #fail(error) {
    say(byId("character-message"), error.message);
    this.#isLost ||= error.status === 0;
  }

  async #showPicture({ images, version }, { settings, isPassing }) {
    const picture = byId("character-picture");
    if (!(await show(picture, images[0]))) return;
    if (!this.#isPassing || !isPassing) this.#rememberShown(); // of a moved control only what it comes to rest at
    picture.alt = `Face from seed ${settings.seed}${described(settings.tags)}`;
    this.#shown = { settings, image: images[0], version };
    this.#isKept = false;
    this.#isPassing = isPassing;
    byId("character-made").textContent = provenance(version, this.#release.families[settings.family]);
    byId("character-download").disabled = false;
    byId("character-enlarge").disabled = !this.#release.families.upscaler;
    say(byId("character-message"), this.#notice);
    this.#settledLater();
  }

  #askVariants() {
    if (!this.#controls) return;
    this.#variants.ask({ ...this.#asked(), seed: (this.#settings.seed + 1 + this.#offset) % 2 ** 32 });
  }

  async #showVariants({ images, seeds }) {
    const loaded = images.map((image, image_idx) => {
      const picture = h("img", { alt: "" });
      const button = h("button", { class: "thumb", "aria-label": `Take seed ${seeds[image_idx]}`, title: `Seed ${seeds[image_idx]}` }, picture);
      button.addEventListener("click", () => this.#change({ seed: seeds[image_idx] }));
      return show(picture, image).then(() => h("li", {}, button));
    });
    refill(byId("variants"), await Promise.all(loaded));
  }

  /** What is shown stays for a while: it is kept, and told to those who do not see it. */
  #settle() {
    this.#rememberShown();
    say(byId("character-said"), `Face from seed ${this.#shown.settings.seed}`);
  }

  #rememberShown() {
    if (!this.#shown || this.#isKept) return;
    this.#isKept = true;
    this.#recallHistory();
    this.#keep([this.#shown, ...this.#history]);
  }

  /** This is the history now. */
  #keep(entries) {
    this.#history = distinct(entries).slice(0, MAX_HISTORY);
    // a full storage keeps fewer
    let kept = this.#history.length;
    while (kept && !remember(HISTORY, this.#history.slice(0, kept))) kept = Math.floor(kept / 2);
    if (kept) this.#history = this.#history.slice(0, kept); // where storage is off, all of it until the page is closed
    this.#showHistory();
  }

  #clear() {
    if (!this.#history.length) return;
    this.#cleared = distinct([...this.#history, ...this.#cleared]);
    this.#history = [];
    remember(HISTORY, this.#history);
    this.#showHistory();
    say(byId("history-cleared"), "Cleared ·");
    byId("history-undo").hidden = false;
  }

  #undoClear() {
    this.#recallHistory();
    this.#keep([...this.#history, ...this.#cleared]);
    this.#cleared = [];
    byId("history-clear").focus(); // the button pressed goes away
    say(byId("history-cleared"));
    byId("history-undo").hidden = true;
  }

  /** Another tab may have changed it. */
  #recallHistory() {
    this.#history = recall(HISTORY, isHistory, this.#history);
  }

  #showHistory() {
    const items = this.#history.map((entry) => {
      const title = `Seed ${entry.settings.seed}${described(entry.settings.tags)} (${entry.version})`;
      const button = h("button", { class: "thumb", "aria-label": `Go back to: ${title}`, title }, h("img", { src: entry.image, alt: "" }));
      button.addEventListener("click", () => this.#restore(entry));
      return h("li", {}, button);
    });
    refill(byId("history"), items.length ? items : [h("li", { class: "empty" })]);
    byId("history-clear").setAttribute("aria-disabled", !items.length); // not `disabled`: the button pressed keeps the focus
  }

  #restore({ settings, version }) {
    if (!this.#controls) return;
    const known = this.#release.faces.includes(settings.family);
    const family = known ? settings.family : this.#settings.family;
    this.#settings = { ...settings, family };
    this.#changeFamily(family);
    if (!known) this.#notice = `${version} is not in this release; the settings are used with ${this.#settings.family}.`;
  }

  #filename() {
    return `genga-${this.#shown.settings.family}-${this.#shown.settings.seed}.png`;
  }
}
