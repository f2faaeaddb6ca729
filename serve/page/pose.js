// The pose tool: joints, strokes, pictures or presets -> a pose -> sketches and the nearest figures, live.

import { Latest, readPose, settled, sketch } from "./api.js";
import { keep } from "./corrections.js";
import { byId, h, icon, press, randomSeed, save, saveText, say, show } from "./dom.js";
import { letterbox, thumbnail, unletterbox } from "./figure.js";
import { recall, remember } from "./memory.js";
import { openPoseJson, ourJson, poseOf } from "./posefiles.js";
import { presets } from "./presets.js";
import { Stage, UNSURE } from "./stage.js";
import { reviewer } from "./tags.js";
import { Timeline } from "./timeline.js";
import { megabytes, provenance } from "./words.js";

const NUM_SKETCHES = 6;
const KEEPING = "genga.lengths"; // what the browser remembers it under
const STILL = 1e-4; // of the width: a joint that moves less has not moved, nobody sees it
const HELP = {
  joints: "Drag a joint, or choose it with Tab and move it with the arrow keys.",
  draw: "Draw a stick figure: a head, a body, arms and legs. The joints follow your strokes.",
};

export class PoseTool {
  #release = null;
  #stage = null;
  #timeline;
  #seed = 0;
  #traced = null; // object URL of the picture behind the joints
  #shown = null; // that picture's file, width and height
  #opened = null; // the file chosen last
  #toRead = null; // the same, until its joints are read or somebody has changed the pose or drawn
  #lastKey = { joint: -1, time: 0, state: null }; // state: the step that this key made
  #sketches;
  #reader;
  #readStrokes = settled(() => this.#reader.ask({ strokes: this.#timeline.now.strokes }), 350);

  constructor() {
    this.#sketches = new Latest({
      work: (wish, signal) => sketch({ ...wish, count: NUM_SKETCHES }, signal),
      done: (answer) => this.#showAnswer(answer),
      failed: (error) => say(byId("sketch-message"), error.message),
      busy: (busy) => byId("sketches").setAttribute("aria-busy", busy),
    });
    this.#reader = new Latest({
      work: (wish, signal) => this.#read(wish, signal),
      done: (answer, wish) => this.#take(answer, wish),
      failed: (error) => say(byId("pose-message"), error.message),
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
    const choose = () => this.#commit({ ...this.start, pose });
    return h("li", {}, h("button", { class: "preset", onclick: choose }, thumbnail(pose, skeleton), h("span", {}, name)));
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
    byId("pose-json").addEventListener("click", () => this.#save(ourJson, "genga-pose.json"));
    byId("pose-openpose").addEventListener("click", () => this.#save(openPoseJson, "genga-openpose.json"));
    byId("keep-lengths").checked = recall(KEEPING, (value) => typeof value === "boolean", true);
    byId("keep-lengths").addEventListener("change", () => this.#setKeeping(byId("keep-lengths").checked));
    this.#setKeeping(byId("keep-lengths").checked);
    byId("trace-clear").addEventListener("click", () => this.#trace(null));
    byId("pose-keep").addEventListener("click", () => this.#keep());
    byId("sketch-seeds").addEventListener("click", () => {
      const seed = randomSeed();
      this.#seed = seed - (seed % this.#release.limits.sketches); // from there on no two are of the same drawing
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

  #setKeeping(keeping) {
    remember(KEEPING, keeping);
    this.#stage.setKeeping(keeping);
  }

  // --- changes

  #commit(state) {
    this.#forgetReading();
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
    this.#allowKeeping();
  }

  /** Only joints that were read off the picture shown, or placed on it by a person, are its label. */
  #allowKeeping() {
    const { of, unread } = this.#timeline.now;
    byId("pose-keep").disabled = Boolean(unread) || of !== this.#shown?.file;
  }

  /** A joint on its way: sketches follow at once, and the step that can be undone is the whole drag or the run of keys. */
  #moved(pose, { joint, last, key }) {
    const { now } = this.#timeline;
    const moves = differ(pose, now.pose); // a click alone, or a key at the end of a limb's reach, moves nothing
    if (moves) this.#forgetReading();
    const confidence = now.confidence.map((each, each_idx) => (each_idx === joint ? 1 : each)); // a person has placed it
    const state = moves ? { ...now, pose, confidence, unread: false, of: this.#shown?.file } : now;
    this.#askSketches(state);
    if (!last) return;
    if (moves) this.#step(state, key ? joint : -1);
    this.#showState();
  }

  #step(state, joint) {
    const before = this.#lastKey;
    const again = joint >= 0 && before.joint === joint && before.state === this.#timeline.now && performance.now() - before.time < 800;
    if (again) this.#timeline.replace(state);
    else this.#timeline.push(state);
    this.#lastKey = { joint, time: performance.now(), state };
  }

  /** Its joints are still those from before the stroke: unread. */
  #stroked(strokes) {
    this.#toRead = null;
    this.#timeline.push({ ...this.#timeline.now, strokes, unread: true, of: this.#shown?.file });
    this.#showState();
    this.#readStrokes();
  }

  #mirror() {
    const { joints } = this.#release;
    const other = (name) => name.replace(/^[lr]_/, (start) => ({ l_: "r_", r_: "l_" })[start]);
    const mirrored = (values) => joints.map((name) => values[joints.indexOf(other(name))]);
    const { pose, strokes, confidence, unread } = this.#timeline.now;
    const flip = ([x, y]) => [1 - x, y];
    this.#commit({ pose: mirrored(pose).map(flip), strokes: strokes.map((points) => points.map(flip)), confidence: mirrored(confidence), unread });
    if (unread) this.#readStrokes(); // as they are now
  }

  #travel(way) {
    if (!this.#timeline[way]()) return;
    this.#lastKey.state = null; // the next key leaves the state that came back as it is
    this.#forgetReading();
    this.#showState();
    this.#askSketches();
    if (this.#timeline.now.unread) this.#readStrokes();
  }

  #startAgain() {
    this.#trace(null);
    say(byId("pose-message"));
    this.#commit(this.start);
  }

  #forgetReading() {
    this.#toRead = null;
    this.#readStrokes.cancel();
    this.#reader.cancel();
  }

  // --- reading joints off strokes and pictures

  async #read({ strokes, file }, signal) {
    if (file) return readPose(file, file.name, signal);
    return readPose(await this.#stage.strokesPng(strokes), "strokes.png", signal);
  }

  /** `strokes`: those that were read, or those that were there when the picture `file` was opened; later ones stay, to be read next. */
  #take({ pose, confidence, width, height, version }, { strokes, file }) {
    const { now } = this.#timeline;
    const unread = now.strokes !== strokes;
    const joints = { pose: pose.map(letterbox(width, height)), confidence, unread };
    if (file) this.#timeline.push({ ...joints, strokes: unread ? now.strokes : [], of: file });
    else this.#timeline.replace({ ...joints, strokes: now.strokes, of: now.of });
    const unsure = confidence.some((each) => each < UNSURE);
    say(byId("pose-message"));
    byId("stage-help").textContent = `Joints read by ${version}${unsure ? "; the hollow ones are guesses" : ""}. Correct them with Joints.`;
    this.#showState();
    this.#askSketches();
  }

  async #open(input) {
    const [file] = input.files;
    input.value = ""; // the same file may be chosen again
    if (!file) return;
    say(byId("pose-message"));
    if (file.name.endsWith(".json") || file.type === "application/json") this.#openJson(await file.text());
    else await this.#openPicture(file);
  }

  async #openPicture(file) {
    if (file.size > this.#release.limits.upload_bytes) {
      say(byId("pose-message"), `The picture has ${megabytes(file.size)}; at most ${megabytes(this.#release.limits.upload_bytes)} are read.`);
      return;
    }
    this.#forgetReading();
    this.#setMode("joints");
    const { strokes } = this.#timeline.now;
    const url = URL.createObjectURL(file);
    const picture = new Image();
    this.#opened = this.#toRead = file;
    const readable = await show(picture, url);
    if (this.#opened !== file) return; // another was opened meanwhile
    this.#trace(readable ? url : null);
    this.#shown = readable ? { file, width: picture.naturalWidth, height: picture.naturalHeight } : null;
    byId("pose-keep").hidden = !readable;
    this.#allowKeeping();
    if (this.#toRead === file) this.#reader.ask({ strokes, file });
  }

  #openJson(text) {
    const { joints } = this.#release;
    const read = poseOf(text, joints);
    if (read) this.#commit({ ...this.start, ...read });
    else
      say(
        byId("pose-message"),
        `This file holds no pose; expected {"pose": [[x, y], …]} with ${joints.length} joints from 0 to 1, or OpenPose’s people with pose_keypoints_2d.`,
      );
  }

  #save(write, filename) {
    const { pose, confidence } = this.#timeline.now;
    saveText(write(pose, confidence, this.#release.joints), filename);
  }

  /** The joints as a label of the picture behind them, in shares of its own width and height. */
  async #keep() {
    const { file, width, height } = this.#shown;
    const within = (value) => Math.min(1, Math.max(0, value));
    const pose = this.#timeline.now.pose.map(unletterbox(width, height)).map((place) => place.map(within));
    say(byId("pose-message"));
    if (!(await keep(file, { by: reviewer(), pose })) || file !== this.#shown?.file) return;
    byId("stage-help").textContent = "Kept. `genga label pull` takes these joints into the labels.";
  }

  #trace(url) {
    if (this.#traced) URL.revokeObjectURL(this.#traced);
    this.#traced = url;
    this.#stage.setPicture(url);
    byId("trace-clear").hidden = !url;
    this.#shown = null;
    byId("pose-keep").hidden = true;
  }

  // --- answers

  #askSketches({ pose, confidence } = this.#timeline.now) {
    const unsure = confidence.some((each) => each < 1) ? { confidence } : {};
    if (this.#release.families.sketcher) this.#sketches.ask({ pose, ...unsure, seed: this.#seed });
    else say(byId("sketch-message"), "This release has no sketcher; train one with `dvc repro`.");
  }

  async #showAnswer({ sketches, seeds, nearest, version }) {
    const tiles = await Promise.all(sketches.map((url, url_idx) => sketchTile(url, seeds[url_idx])));
    const figures = await Promise.all(nearest.map(figureTile));
    byId("sketches").replaceChildren(...tiles);
    byId("nearest").replaceChildren(...figures);
    byId("sketch-made").textContent = provenance(version, this.#release.families.sketcher);
    say(byId("sketch-message"));
  }
}

function differ(pose, other) {
  return pose.some(([x, y], joint) => Math.hypot(x - other[joint][0], y - other[joint][1]) > STILL);
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
