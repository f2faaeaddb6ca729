// The pose tool: joints, strokes, pictures or presets -> a pose -> sketches and the nearest figures, live.
//
// What undo leads back to is a state:
//   pose, confidence, of    of each joint; `of`: the picture (a File) that it was read off or that somebody placed it on, null elsewhere
//   placed, kind            of each joint, whether it is where a person put it since the strokes began; what the joints were read as, null if not
//   strokes, drawnOn        `drawnOn`: the picture that was behind all of them; with `unread` the joints are those from before the last stroke
//   seed                    of the first sketch
//   traced, hidden          the picture behind, {file, url, width, height}, or null; its joints that one does not see, null until somebody says so

import { Latest, readPose, settled, sketch } from "./api.js";
import { keep } from "./corrections.js";
import { byId, h, icon, onFile, press, randomSeed, refill, save, saveText, say, show } from "./dom.js";
import { jointWords, letterbox, thumbnail, unletterbox } from "./figure.js";
import { recall, remember } from "./memory.js";
import { openPoseJson, ourJson, poseOf } from "./posefiles.js";
import { presets } from "./presets.js";
import { Stage, UNSURE } from "./stage.js";
import { recallHere, rememberHere } from "./tabmemory.js";
import { reviewer } from "./tags.js";
import { Timeline } from "./timeline.js";
import { megabytes, provenance } from "./words.js";

const NUM_SKETCHES = 6;
const [KEEPING, POSE, DRAWING] = ["genga.lengths", "genga.pose", "genga.drawing"]; // what the browser remembers them under
const KINDS = ["stick", "figure"]; // that a picture can be read as, against what it seems
const ONLY_TRACE = "trace";
const FEW = 3; // fewer strokes do not show yet what they are: a head's circle alone seems a figure
const NAMED = 3; // as many missing joints are named
const STILL = 1e-4; // of the width: a joint that moves less has not moved, nobody sees it
const HELP = {
  joints: "Drag a joint, or choose it with Tab and move it with the arrow keys.",
  draw: "Draw a stick figure: a head, a body, arms and legs. The joints follow your strokes.",
};
const KEPT = "Kept. `genga label pull` takes these joints into the labels; they count once this very file lies in own-figures/figures or own-figures/sticks.";

export class PoseTool {
  #release = null;
  #stage = null;
  #timeline;
  #chosen = null; // the joint that had the focus last
  #mode = "joints";
  #isLost = false; // a request that nothing answered
  #kept = null; // a state whose joints were kept as a correction or are on their way, as long as they are shown
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
      failed: (error) => this.#fail(error, "sketch-message"),
      busy: (busy) => byId("sketches").setAttribute("aria-busy", busy),
    });
    this.#reader = new Latest({
      work: (wish, signal) => this.#read(wish, signal),
      done: (answer, wish) => this.#take(answer, wish),
      failed: (error, { file }) => {
        this.#fail(error, "pose-message");
        if (file && this.#timeline.now.unread) this.#readStrokes(); // they were given up for the file
      },
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
    this.#readAnew();
  }

  /** Asks for what nothing answered. */
  again() {
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#askSketches();
    this.#readAnew();
  }

  #readAnew() {
    const { strokes, unread } = this.#timeline.now;
    if (this.#toRead && byId("read-as").value !== ONLY_TRACE) this.#reader.ask({ strokes, file: this.#toRead });
    else if (unread) this.#readStrokes();
  }

  #fail({ message, status }, where) {
    say(byId(where), message);
    this.#isLost ||= status === 0;
  }

  #setUp(skeleton) {
    this.#stage = new Stage(byId("stage"), skeleton, {
      onmove: (pose, how) => this.#moved(pose, how),
      onstroke: (strokes) => this.#stroked(strokes),
      onchoose: (joint) => this.#choose(joint),
      onhide: (joint) => this.#hide(joint),
    });
    const named = presets(skeleton.joints);
    const each = (value) => skeleton.joints.map(() => value);
    const read = { confidence: each(1), of: each(null), placed: each(false), kind: null };
    this.start = { pose: named[0].pose, ...read, strokes: [], drawnOn: null, unread: false, traced: null, hidden: null };
    this.#timeline = new Timeline({ ...this.start, seed: 0, ...whatWasLeft(skeleton.joints) });
    this.#showState();
    byId("presets").replaceChildren(...named.map((preset) => this.#preset(preset, skeleton)));
    this.#listen();
  }

  #preset({ name, pose }, skeleton) {
    const choose = () => this.#commit({ pose });
    return h("li", {}, h("button", { class: "preset", onclick: choose }, thumbnail(pose, skeleton), h("span", {}, name)));
  }

  #listen() {
    byId("mode-joints").addEventListener("click", () => this.#setMode("joints"));
    byId("mode-draw").addEventListener("click", () => this.#setMode("draw"));
    byId("undo").addEventListener("click", () => this.#travel("undo"));
    byId("redo").addEventListener("click", () => this.#travel("redo"));
    byId("mirror").addEventListener("click", () => this.#mirror());
    byId("pose-reset").addEventListener("click", () => this.#commit(this.start));
    byId("pose-open").addEventListener("click", () => byId("pose-file").click());
    onFile(byId("pose-file"), (file) => this.take(file));
    byId("pose-json").addEventListener("click", () => this.#save(ourJson, "genga-pose.json"));
    byId("pose-openpose").addEventListener("click", () => this.#save(openPoseJson, "genga-openpose.json"));
    byId("keep-lengths").checked = recall(KEEPING, (value) => typeof value === "boolean", true);
    byId("keep-lengths").addEventListener("change", () => this.#setKeeping(byId("keep-lengths").checked));
    this.#setKeeping(byId("keep-lengths").checked);
    byId("trace-clear").addEventListener("click", () => {
      this.#trace(null);
      byId("read-as").focus(); // the button pressed is hidden now
    });
    byId("pose-keep").addEventListener("click", () => this.#keep());
    byId("joint-hidden").addEventListener("change", () => this.#hide(this.#chosen));
    byId("read-as").addEventListener("change", () => this.#readAgain());
    byId("sketch-seeds").addEventListener("click", () => {
      const seed = randomSeed();
      // from there on no two are of the same drawing
      this.#timeline.push({ ...this.#timeline.now, seed: seed - (seed % this.#release.limits.sketches) });
      this.#showState();
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
    this.#mode = mode;
    say(byId("stage-help"), HELP[mode]);
    this.#stage.setDrawing(mode === "draw");
  }

  #setKeeping(keeping) {
    remember(KEEPING, keeping);
    this.#stage.setKeeping(keeping);
  }

  // --- changes

  /** Another pose than the one before; nothing is left of that but the picture behind and the seed. */
  #commit(state) {
    say(byId("pose-message"));
    this.#forgetReading();
    const { traced, seed } = this.#timeline.now;
    this.#timeline.push({ ...this.start, traced, seed, ...state });
    this.#showState();
    this.#askSketches();
  }

  #showState() {
    const { pose, confidence, strokes, placed, kind, unread, seed } = this.#timeline.now;
    const text = ourJson(pose, confidence, this.#release.joints);
    rememberHere(POSE, text);
    rememberHere(DRAWING, { of: text, drawing: { strokes, placed, kind, unread, seed } });
    if (this.#kept && !isSameLabel(this.#kept, this.#timeline.now)) {
      this.#kept = null;
      say(byId("stage-help"), HELP[this.#mode]);
    }
    this.#stage.setPose(this.#timeline.now);
    this.#stage.setStrokes(strokes);
    byId("stage").classList.toggle("blank", !strokes.length);
    // not `disabled`: the button pressed keeps the focus
    byId("undo").setAttribute("aria-disabled", !this.#timeline.canUndo);
    byId("redo").setAttribute("aria-disabled", !this.#timeline.canRedo);
    this.#showPicture();
  }

  /** The picture behind, and what can be said about it. */
  #showPicture() {
    const { traced, hidden } = this.#timeline.now;
    this.#stage.setPicture(traced?.url);
    for (const id of ["trace-clear", "pose-keep", "sight"]) byId(id).hidden = !traced;
    const missing = this.#missing();
    byId("pose-keep").setAttribute("aria-disabled", missing.length > 0);
    byId("pose-keep").textContent = `Keep as a correction${missing.length ? ` (first place ${listed(missing)})` : ""}`;
    byId("joint-hidden").disabled = this.#chosen === null;
    byId("joint-hidden").checked = Boolean(hidden?.includes(this.#chosen));
    say(byId("joint-name"), this.#chosen === null ? "Joint" : jointWords(this.#release.joints[this.#chosen]));
  }

  /** Names of the joints that were neither surely read off the picture behind nor placed on it by a person: no label of it. */
  #missing() {
    const { of, confidence, unread, traced } = this.#timeline.now;
    return this.#release.joints.filter((_, joint) => unread || of[joint] !== traced?.file || confidence[joint] < UNSURE);
  }

  #choose(joint) {
    this.#chosen = joint;
    this.#showPicture();
  }

  #hide(joint) {
    const { now } = this.#timeline;
    if (!now.traced) return;
    const hidden = now.hidden ?? [];
    this.#timeline.push({ ...now, hidden: hidden.includes(joint) ? hidden.filter((each) => each !== joint) : [...hidden, joint] });
    this.#showState();
  }

  /** A joint on its way: sketches follow at once, and the step that can be undone is the whole drag or the run of keys. */
  #moved(pose, { joint, last, key }) {
    const { now } = this.#timeline;
    const moved = pose.map((place, each) => differ(place, now.pose[each]));
    const moves = moved.includes(true); // a click alone, or a key at the end of a limb's reach, moves nothing
    if (moves) {
      say(byId("pose-message"));
      this.#forgetReading();
    }
    const put = (values, value) => values.map((each, each_idx) => (each_idx === joint ? value : each));
    const [confidence, of] = [put(now.confidence, 1), put(now.of, now.traced?.file ?? null)];
    const placed = now.placed.map((each, each_idx) => each || (moved[each_idx] && confidence[each_idx] >= UNSURE)); // a guess carried along stays one
    const state = moves ? { ...now, pose, confidence, of, placed, unread: false } : now;
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
    const { now } = this.#timeline;
    const behind = now.traced?.file ?? null;
    const drawnOn = !now.strokes.length || now.drawnOn === behind ? behind : null;
    const placed = now.strokes.length ? now.placed : this.start.placed;
    this.#timeline.push({ ...now, placed, kind: null, strokes, drawnOn, unread: true });
    this.#showState();
    this.#readStrokes();
  }

  #mirror() {
    const { joints } = this.#release;
    const other = (name) => name.replace(/^[lr]_/, (start) => ({ l_: "r_", r_: "l_" })[start]);
    const mirrored = (values) => joints.map((name) => values[joints.indexOf(other(name))]);
    const { pose, strokes, confidence, placed, kind, unread } = this.#timeline.now;
    const flip = ([x, y]) => [1 - x, y];
    this.#commit({
      pose: mirrored(pose).map(flip),
      confidence: mirrored(confidence),
      placed: mirrored(placed),
      kind,
      strokes: strokes.map((points) => points.map(flip)),
      unread,
    });
    if (unread) this.#readStrokes(); // as they are now
  }

  #travel(way) {
    if (!this.#timeline[way]()) return;
    say(byId("pose-message"));
    this.#lastKey.state = null; // the next key leaves the state that came back as it is
    this.#forgetReading();
    this.#showState();
    this.#askSketches();
    if (this.#timeline.now.unread) this.#readStrokes();
  }

  #forgetReading() {
    this.#toRead = null;
    this.#readStrokes.cancel();
    this.#reader.cancel();
  }

  // --- reading joints off strokes and pictures

  async #read({ strokes, file }, signal) {
    const kind = KINDS.find((each) => each === byId("read-as").value);
    if (file) return readPose(file, file.name, kind, signal);
    const begun = strokes.length < FEW ? "stick" : undefined;
    return readPose(await this.#stage.strokesPng(strokes), "strokes.png", kind ?? begun, signal);
  }

  /** What is there, as that which has been chosen meanwhile. */
  #readAgain() {
    const { now } = this.#timeline;
    const { value } = byId("read-as");
    const onlyTrace = value === ONLY_TRACE;
    this.#forgetReading();
    if (value === now.kind && !now.unread) return; // it was read as that
    if (now.strokes.length && !onlyTrace) {
      this.#timeline.push({ ...now, unread: true });
      this.#showState();
    }
    if (this.#timeline.now.unread) this.#readStrokes();
    else if (now.traced && !onlyTrace) this.#reader.ask({ strokes: now.strokes, file: now.traced.file });
  }

  /**
   * `strokes`: those that were read, or those that were there when the picture `file` was opened; later ones stay, to be read next. So do joints
   * that a person has placed, on this very picture where one was read.
   */
  #take({ kind, pose, confidence, width, height, version }, { strokes, file }) {
    const { now } = this.#timeline;
    const unread = now.strokes !== strokes;
    if (file) this.#toRead = null;
    const placed = now.placed.map((each, joint) => each && (!file || now.of[joint] === file));
    const merged = (name, read) => read.map((each, joint) => (placed[joint] ? now[name][joint] : each));
    const joints = {
      pose: merged("pose", pose.map(letterbox(width, height))),
      confidence: merged("confidence", confidence),
      of: merged("of", pose.map(() => file ?? now.drawnOn)),
    };
    const read = { ...joints, placed, kind, unread };
    const isBehind = now.traced?.file === file; // else the browser cannot show it, and another may be there
    const behind = isBehind ? {} : { traced: null, hidden: null };
    if (file) this.#timeline.push({ ...now, ...read, ...behind, strokes: unread ? now.strokes : [] });
    else this.#timeline.replace({ ...now, ...read });
    const unsure = joints.confidence.some((each) => each < UNSURE);
    say(byId("pose-message"));
    this.#showState();
    say(byId("stage-help"), `Joints read by ${version}${unsure ? "; the hollow ones are guesses" : ""}. Correct them with Joints.`);
    this.#askSketches();
  }

  async take(file) {
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
    const url = URL.createObjectURL(file); // for as long as the page lives: undo may lead back to the picture
    const picture = new Image();
    this.#opened = this.#toRead = file;
    const readable = await show(picture, url);
    if (this.#opened !== file) return; // another was opened meanwhile
    if (readable) this.#trace({ file, url, width: picture.naturalWidth, height: picture.naturalHeight });
    if (byId("read-as").value !== ONLY_TRACE) {
      if (this.#toRead === file) this.#reader.ask({ strokes, file });
    } else if (!readable) say(byId("pose-message"), "The browser cannot show this picture; save it as PNG or JPEG to trace it.");
  }

  #openJson(text) {
    const { joints } = this.#release;
    const read = poseOf(text, joints);
    if (read) this.#commit(read);
    else
      say(
        byId("pose-message"),
        `This file holds no pose; expected {"pose": [[x, y], …]} with ${joints.length} joints, or OpenPose’s people with pose_keypoints_2d.`,
      );
  }

  #save(write, filename) {
    const { pose, confidence } = this.#timeline.now;
    saveText(write(pose, confidence, this.#release.joints), filename);
  }

  /** The joints as a label of the picture behind them, in shares of its own width and height. */
  #keep() {
    if (this.#missing().length) return;
    const { now } = this.#timeline;
    const { pose, hidden, traced } = now;
    const { file, width, height } = traced;
    const within = (value) => Math.min(1, Math.max(0, value));
    const said = { by: reviewer(), pose: pose.map(unletterbox(width, height)).map((place) => place.map(within)) };
    if (hidden) said.hidden = hidden.map((joint) => this.#release.joints[joint]);
    this.#kept = now;
    say(byId("pose-message"));
    say(byId("stage-help"), `Keeping these joints of ${file.name} …`);
    keep(file, said, (isKept) => {
      if (!this.#kept || !isSameLabel(this.#kept, now)) return;
      say(byId("stage-help"), isKept ? KEPT : HELP[this.#mode]);
    });
  }

  #trace(traced) {
    this.#timeline.push({ ...this.#timeline.now, kind: null, traced, hidden: null });
    this.#showState();
  }

  // --- answers

  #askSketches({ pose, confidence, seed } = this.#timeline.now) {
    const unsure = confidence.some((each) => each < 1) && confidence.some((each) => each > 0); // all 0 tell no joint from another
    if (this.#release.families.sketcher) this.#sketches.ask({ pose, ...(unsure && { confidence }), seed });
    else say(byId("sketch-message"), "This release has no sketcher; train one with `dvc repro`.");
  }

  async #showAnswer({ sketches, seeds, nearest, version }) {
    const tiles = await Promise.all(sketches.map((url, url_idx) => sketchTile(url, seeds[url_idx])));
    const figures = await Promise.all(nearest.map(figureTile));
    refill(byId("sketches"), tiles);
    byId("nearest").replaceChildren(...figures);
    byId("sketch-made").textContent = `Seeds ${seeds[0]} to ${seeds.at(-1)} · ${provenance(version, this.#release.families.sketcher)}`;
    say(byId("sketch-message"));
  }
}

/** The pose that was shown when the page was left, and what was drawn for it. */
function whatWasLeft(joints) {
  const text = recallHere(POSE, (value) => typeof value === "string", "");
  const { of, drawing } = recallHere(DRAWING, isDrawing, {});
  const left = poseOf(text, joints);
  return left && of === text && drawing.placed.length === joints.length ? { ...left, ...drawing } : left;
}

const isPlace = (place) => Array.isArray(place) && place.length === 2 && place.every((value) => value >= 0 && value <= 1);
const isStroke = (points) => Array.isArray(points) && points.length > 0 && points.every(isPlace);
const isDrawing = (left) =>
  Array.isArray(left?.drawing?.strokes) && left.drawing.strokes.every(isStroke) && Array.isArray(left.drawing.placed) &&
  Number.isInteger(left.drawing.seed) && left.drawing.seed >= 0 && left.drawing.seed < 2 ** 32;

/** "left wrist, hip"; the first of many. */
function listed(joints) {
  const words = joints.map((name) => jointWords(name).toLowerCase());
  return words.length > NAMED ? `${words.slice(0, NAMED).join(", ")} and ${words.length - NAMED} more` : words.join(", ");
}

const isSameLabel = (state, other) => ["pose", "hidden", "traced"].every((name) => state[name] === other[name]);

const differ = ([x, y], [otherX, otherY]) => Math.hypot(x - otherX, y - otherY) > STILL;

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
