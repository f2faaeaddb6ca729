// The pose tool: joints, strokes, pictures or presets -> a pose -> sketches and the nearest figures, live.

import { Latest, readPose, settled, sketch } from "./api.js";
import { byId, h, icon, press, randomSeed, save, saveText, say, show, svg } from "./dom.js";
import { presets } from "./presets.js";
import { figureLines, headCircle, placeHead, placeLines, Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { megabytes, provenance } from "./words.js";

const NUM_SKETCHES = 6;
const HELP = {
  joints: "Drag a joint, or choose it with Tab and move it with the arrow keys.",
  draw: "Draw a stick figure: a head, a body, arms and legs. The joints follow your strokes.",
};

export class PoseTool {
  #release = null;
  #stage = null;
  #timeline;
  #seed = 1;
  #traced = null; // object URL of the picture behind the joints
  #lastKey = { joint: -1, time: 0 };
  #sketches;
  #reader;
  #readStrokes = settled(() => this.#reader.ask({ strokes: true }), 350);

  constructor({ onanswer }) {
    this.onanswer = onanswer;
    this.#sketches = new Latest({
      work: ({ pose, seed }, signal) => sketch({ pose, seed, count: NUM_SKETCHES }, signal),
      done: (answer) => this.#showAnswer(answer),
      failed: (error) => this.#fail("sketch-message", error),
      busy: (busy) => byId("sketches").setAttribute("aria-busy", busy),
    });
    this.#reader = new Latest({
      work: (wish, signal) => this.#read(wish, signal),
      done: (answer, wish) => this.#take(answer, wish),
      failed: (error) => this.#fail("pose-message", error),
      busy: (busy) => byId("stage").setAttribute("aria-busy", busy),
    });
    byId("sketches").replaceChildren(...Array.from({ length: NUM_SKETCHES }, () => h("li", { class: "empty" })));
    byId("nearest").replaceChildren(...Array.from({ length: 6 }, () => h("li", {}, h("div", { class: "empty" }), h("small", {}, " "))));
  }

  /** The first release brings the skeleton and with it the stage; later ones only other models. */
  open(release) {
    this.#release = release;
    this.#sketches.cancel();
    if (!this.#stage) this.#setUp(release);
    this.#askSketches();
  }

  #setUp(skeleton) {
    this.#stage = new Stage(byId("stage"), skeleton, { onmove: (pose, how) => this.#moved(pose, how), onstroke: (strokes) => this.#stroked(strokes) });
    const named = presets(skeleton.joints);
    this.start = { pose: named[0].pose, strokes: [], confidence: skeleton.joints.map(() => 1) };
    this.#timeline = new Timeline(this.start);
    this.#showState();
    byId("presets").replaceChildren(...named.map((preset) => this.#preset(preset, skeleton)));
    this.#listen();
  }

  #preset({ name, pose }, skeleton) {
    const lines = figureLines(skeleton);
    const head = headCircle();
    placeLines(lines, pose);
    placeHead(head, pose, skeleton.joints);
    const picture = svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true", class: "figure" }, head, ...lines);
    return h("li", {}, h("button", { class: "preset", onclick: () => this.#commit({ ...this.start, pose }) }, picture, h("span", {}, name)));
  }

  #listen() {
    byId("mode-joints").addEventListener("click", () => this.#setMode("joints"));
    byId("mode-draw").addEventListener("click", () => this.#setMode("draw"));
    byId("undo").addEventListener("click", () => this.#travel("undo"));
    byId("redo").addEventListener("click", () => this.#travel("redo"));
    byId("mirror").addEventListener("click", () => this.#mirror());
    byId("pose-reset").addEventListener("click", () => this.#startAgain());
    byId("pose-open").addEventListener("click", () => byId("pose-file").click());
    byId("pose-file").addEventListener("change", () => this.#open(byId("pose-file")));
    byId("pose-json").addEventListener("click", () => this.#saveJson());
    byId("trace-clear").addEventListener("click", () => this.#trace(null));
    byId("sketch-seeds").addEventListener("click", () => {
      this.#seed = randomSeed();
      this.#askSketches();
    });
    document.addEventListener("keydown", (event) => {
      if (byId("pose").hidden || !(event.ctrlKey || event.metaKey) || !["z", "y"].includes(event.key.toLowerCase())) return;
      event.preventDefault();
      this.#travel(event.shiftKey || event.key.toLowerCase() === "y" ? "redo" : "undo");
    });
  }

  #setMode(mode) {
    press(byId("mode-joints"), mode === "joints");
    press(byId("mode-draw"), mode === "draw");
    byId("stage-help").textContent = HELP[mode];
    this.#stage.setDrawing(mode === "draw");
  }

  // --- changes

  #commit(state) {
    this.#timeline.push(state);
    this.#showState();
    this.#askSketches();
  }

  #showState() {
    const { pose, strokes, confidence } = this.#timeline.now;
    this.#stage.setPose(pose, confidence);
    this.#stage.setStrokes(strokes);
    byId("stage").classList.toggle("blank", !strokes.length);
    // not `disabled`: the button pressed keeps the focus
    byId("undo").setAttribute("aria-disabled", !this.#timeline.canUndo);
    byId("redo").setAttribute("aria-disabled", !this.#timeline.canRedo);
  }

  /** A joint on its way: sketches follow at once, and the step that can be undone is the whole drag or the run of keys. */
  #moved(pose, { joint, last, key }) {
    this.#askSketches(pose);
    if (!last) return;
    const confidence = this.#timeline.now.confidence.map((each, each_idx) => (each_idx === joint ? 1 : each)); // a person has placed it
    const state = { ...this.#timeline.now, pose, confidence };
    const again = key && this.#lastKey.joint === joint && performance.now() - this.#lastKey.time < 800;
    if (again) this.#timeline.replace(state);
    else if (pose !== this.#timeline.now.pose) this.#timeline.push(state);
    this.#lastKey = key ? { joint, time: performance.now() } : { joint: -1, time: 0 };
    this.#showState();
  }

  #stroked(strokes) {
    this.#timeline.push({ ...this.#timeline.now, strokes });
    this.#showState();
    this.#readStrokes();
  }

  #mirror() {
    const { joints } = this.#release;
    const other = (name) => name.replace(/^[lr]_/, (start) => ({ l_: "r_", r_: "l_" })[start]);
    const mirrored = (values) => joints.map((name) => values[joints.indexOf(other(name))]);
    const { pose, strokes, confidence } = this.#timeline.now;
    const flip = ([x, y]) => [1 - x, y];
    this.#commit({ pose: mirrored(pose).map(flip), strokes: strokes.map((points) => points.map(flip)), confidence: mirrored(confidence) });
  }

  #travel(way) {
    this.#forgetReading();
    if (!this.#timeline[way]()) return;
    this.#showState();
    this.#askSketches();
  }

  #startAgain() {
    this.#forgetReading();
    this.#trace(null);
    say(byId("pose-message"));
    this.#commit(this.start);
  }

  #forgetReading() {
    this.#readStrokes.cancel();
    this.#reader.cancel();
  }

  // --- reading joints off strokes and pictures

  async #read({ strokes, file }, signal) {
    if (strokes) return readPose(await this.#stage.strokesPng(), "strokes.png", signal);
    return readPose(file, file.name, signal);
  }

  #take({ pose, confidence, kind, version }, { strokes, place }) {
    const order = kind === "stick" ? facing(pose, this.#release.joints) : pose.map((_, joint) => joint);
    const placed = place ? pose.map(place) : pose;
    const found = {
      pose: order.map((joint) => placed[joint]),
      confidence: order.map((joint) => confidence[joint]),
      strokes: strokes ? this.#timeline.now.strokes : [],
    };
    if (strokes) this.#timeline.replace(found);
    else this.#timeline.push(found);
    const unsure = found.confidence.some((each) => each < 0.5);
    say(byId("pose-message"));
    byId("stage-help").textContent = `Joints read by ${version}${unsure ? "; the hollow ones are guesses" : ""}. Correct them with Joints.`;
    this.#showState();
    this.#askSketches();
    this.onanswer(version);
  }

  async #open(input) {
    const [file] = input.files;
    input.value = ""; // the same file may be chosen again
    if (!file) return;
    say(byId("pose-message"));
    this.#forgetReading();
    if (file.name.endsWith(".json") || file.type === "application/json") this.#openJson(await file.text());
    else await this.#openPicture(file);
  }

  async #openPicture(file) {
    if (file.size > this.#release.limits.upload_bytes) {
      say(byId("pose-message"), `The picture has ${megabytes(file.size)}; at most ${megabytes(this.#release.limits.upload_bytes)} are read.`);
      return;
    }
    this.#setMode("joints");
    const url = URL.createObjectURL(file);
    const picture = new Image();
    const readable = await show(picture, url);
    this.#trace(readable ? url : null);
    this.#reader.ask({ file, place: readable ? letterbox(picture.naturalWidth, picture.naturalHeight) : undefined });
  }

  #openJson(text) {
    let pose;
    try {
      const document = JSON.parse(text);
      pose = (document.pose ?? document).map(([x, y]) => [x, y]);
    } catch {
      pose = [];
    }
    const inside = (value) => typeof value === "number" && value >= 0 && value <= 1;
    if (pose.length === this.#release.joints.length && pose.flat().every(inside)) this.#commit({ ...this.start, pose });
    else say(byId("pose-message"), `This file holds no pose; expected {"pose": [[x, y], …]} with ${this.#release.joints.length} joints from 0 to 1.`);
  }

  #saveJson() {
    saveText(`${JSON.stringify({ joints: this.#release.joints, pose: this.#timeline.now.pose }, null, 2)}\n`, "genga-pose.json");
  }

  #trace(url) {
    if (this.#traced) URL.revokeObjectURL(this.#traced);
    this.#traced = url;
    this.#stage.setPicture(url);
    byId("trace-clear").hidden = !url;
  }

  // --- answers

  #fail(place, error) {
    say(byId(place), error.message);
    this.onanswer();
  }

  #askSketches(pose = this.#timeline.now.pose) {
    if (this.#release.families.sketcher) this.#sketches.ask({ pose, seed: this.#seed });
    else say(byId("sketch-message"), "This release has no sketcher; train one with `dvc repro`.");
  }

  async #showAnswer({ sketches, seeds, nearest, version }) {
    const tiles = await Promise.all(sketches.map((url, url_idx) => sketchTile(url, seeds[url_idx])));
    const figures = await Promise.all(nearest.map(figureTile));
    byId("sketches").replaceChildren(...tiles);
    byId("nearest").replaceChildren(...figures);
    byId("sketch-made").textContent = provenance(version, this.#release.families.sketcher);
    say(byId("sketch-message"));
    this.onanswer(version);
  }
}

async function sketchTile(url, seed) {
  const picture = h("img", { alt: `Sketch of the pose, seed ${seed}` });
  await show(picture, url);
  const button = h("button", { class: "button icon", "aria-label": `Download sketch ${seed}`, title: "Download PNG" }, icon("download"));
  button.addEventListener("click", () => save(url, `genga-sketch-${seed}.png`));
  return h("li", {}, picture, button);
}

async function figureTile({ id, image, distance, source, licence }) {
  const picture = h("img", { alt: `Figure ${id.slice(0, 8)}`, title: `Distance ${distance.toFixed(3)}` });
  await show(picture, image);
  return h("li", {}, picture, h("small", {}, `${source} · ${licence}`));
}

/**
 * A stick drawing does not say which arm is the left one: its figure is taken to face us, with its left limbs on the right.
 * Gives the order in which the joints read are to be taken.
 */
function facing(pose, joints) {
  const order = joints.map((_, joint) => joint);
  for (const limb of [["elbow", "wrist"], ["knee", "ankle"]]) {
    const [left, right] = ["l", "r"].map((side) => limb.map((part) => joints.indexOf(`${side}_${part}`)));
    const across = (limbJoints) => limbJoints.reduce((sum, joint) => sum + pose[joint][0], 0);
    if (across(left) < across(right)) left.forEach((joint, part) => ([order[joint], order[right[part]]] = [right[part], joint]));
  }
  return order;
}

/** Where a point of a w x h picture lies when the picture stands in the middle of a square. */
function letterbox(width, height) {
  const side = Math.max(width, height);
  return ([x, y]) => [0.5 + ((x - 0.5) * width) / side, 0.5 + ((y - 0.5) * height) / side];
}
