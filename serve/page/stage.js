// The pose editor's drawing: joints that are dragged or moved by keys, and freehand strokes. It knows pointers, not the server.
// Its coordinates are those of a pose, [0, 1] of a square; the SVG's are 100 times that.

import { h, svg } from "./dom.js";
import { figureLines, headCircle, jointWords, placeHead, placeLines, side } from "./figure.js";
import { pull } from "./limbs.js";

const STROKE_PIXELS = 384;
const STROKE_WIDTH = 0.013;
export const UNSURE = 0.5; // joints with less confidence are hollow

const clamp = (value) => Math.max(0, Math.min(1, value));

const strokePath = (points) => {
  // midpoints as ends of quadratic curves: corners of the sampled line become round
  const [first, ...rest] = points.map(([x, y]) => [x * 100, y * 100]);
  if (!rest.length) return `M${first} l.01 0`;
  const curves = rest.slice(0, -1).map((point, i) => `Q${point} ${(point[0] + rest[i + 1][0]) / 2},${(point[1] + rest[i + 1][1]) / 2}`);
  return `M${first} ${curves.join(" ")} L${rest.at(-1)}`;
};

export class Stage {
  #root;
  #skeleton;
  #pose;
  #doubts; // of each joint, what is said behind its place
  #strokes = [];
  #lines;
  #head;
  #handles;
  #picture = svg("image", { class: "traced", width: 100, height: 100, preserveAspectRatio: "xMidYMid meet" });
  #ink = svg("g", { class: "ink" });
  #drawing = false;
  #keeping = true;
  #grip = null; // {pointer, joint and the pose it was taken hold of in | stroke and its path} while a pointer is down

  /**
   * `onmove(pose, {joint, last, key})` for every step of a drag or key; `onstroke(strokes)` when a stroke is finished;
   * `onchoose(joint)` when a joint gets the focus, `onhide(joint)` when X is pressed on it.
   */
  constructor(root, skeleton, { onmove, onstroke, onchoose, onhide }) {
    Object.assign(this, { onmove, onstroke, onchoose, onhide });
    this.#root = root;
    this.#skeleton = skeleton;
    this.#lines = figureLines(skeleton);
    this.#head = headCircle();
    this.#handles = skeleton.joints.map((name, joint) => this.#handle(name, joint));
    root.replaceChildren(this.#picture, this.#ink, svg("g", { class: "figure" }, this.#head, ...this.#lines, ...this.#handles));
    root.addEventListener("pointerdown", (event) => this.#down(event));
    root.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, (event) => this.#up(event));
    // a finger on a joint drags it and not the page: Chromium heeds no `touch-action` inside an SVG
    root.addEventListener("touchstart", (event) => event.target.closest(".joint") && event.preventDefault(), { passive: false });
  }

  #handle(name, joint) {
    const handle = svg(
      "g",
      { class: `joint ${side(name)}`, tabindex: 0, role: "button", "aria-roledescription": "joint", "data-joint": joint },
      svg("circle", { class: "reach", r: 5 }),
      svg("circle", { class: "ring", r: 3.4 }),
      svg("circle", { class: "point", r: 1.7 }),
      svg("title", {}, jointWords(name)),
    );
    handle.addEventListener("keydown", (event) => this.#key(event, joint));
    handle.addEventListener("focus", () => this.onchoose(joint));
    return handle;
  }

  get pose() {
    return this.#pose;
  }

  get strokes() {
    return this.#strokes;
  }

  /**
   * Shows a pose; joints that the reader was unsure of are hollow, `hidden` ones (indices, or null) dashed. A joint that somebody has hold of is
   * dragged on from there.
   */
  setPose({ pose, confidence, hidden }) {
    if (this.#grip?.pose) this.#grip.pose = pose;
    const [unsure, unseen] = [pose.map((_, joint) => confidence[joint] < UNSURE), pose.map((_, joint) => Boolean(hidden?.includes(joint)))];
    this.#doubts = pose.map((_, joint) => `${unsure[joint] ? ", a guess" : ""}${unseen[joint] ? ", hidden" : ""}`);
    this.#show(pose);
    this.#handles.forEach((handle, joint) => {
      handle.classList.toggle("unsure", unsure[joint]);
      handle.classList.toggle("covered", unseen[joint]);
    });
  }

  #show(pose) {
    this.#pose = pose;
    placeLines(this.#lines, pose);
    placeHead(this.#head, pose, this.#skeleton.joints);
    this.#handles.forEach((handle, joint) => {
      const [x, y] = pose[joint];
      handle.setAttribute("transform", `translate(${(x * 100).toFixed(2)} ${(y * 100).toFixed(2)})`);
      const place = `${Math.round(x * 100)} across, ${Math.round(y * 100)} down`;
      handle.setAttribute("aria-label", `${jointWords(this.#skeleton.joints[joint])}, ${place}${this.#doubts[joint]}`);
    });
  }

  /** Shows finished strokes; the one being drawn stays. */
  setStrokes(strokes) {
    this.#strokes = strokes;
    this.#ink.replaceChildren(...strokes.map((points) => svg("path", { d: strokePath(points) })));
    if (this.#grip?.path) this.#ink.append(this.#grip.path);
  }

  setPicture(url) {
    if (!url) this.#picture.removeAttribute("href");
    else if (url !== this.#picture.getAttribute("href")) this.#picture.setAttribute("href", url);
  }

  setDrawing(drawing) {
    this.#drawing = drawing;
    this.#root.classList.toggle("drawing", drawing);
    for (const handle of this.#handles) handle.setAttribute("tabindex", drawing ? -1 : 0);
  }

  /** Whether limbs keep their lengths when a joint is moved; otherwise a joint moves alone. */
  setKeeping(keeping) {
    this.#keeping = keeping;
  }

  /** Strokes as a black drawing on white paper. */
  async strokesPng(strokes) {
    const canvas = h("canvas", { width: STROKE_PIXELS, height: STROKE_PIXELS });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, STROKE_PIXELS, STROKE_PIXELS);
    pen.scale(STROKE_PIXELS / 100, STROKE_PIXELS / 100);
    Object.assign(pen, { lineWidth: STROKE_WIDTH * 100, lineCap: "round", lineJoin: "round", strokeStyle: "black" });
    for (const points of strokes) pen.stroke(new Path2D(strokePath(points)));
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.#root.getBoundingClientRect();
    return [clamp((clientX - left) / width), clamp((clientY - top) / height)];
  }

  #down(event) {
    if (event.button !== 0 || this.#grip) return;
    const handle = event.target.closest(".joint");
    if (this.#drawing) {
      const stroke = [this.#place(event)];
      this.#grip = { pointer: event.pointerId, stroke, path: svg("path", { d: strokePath(stroke) }) };
      this.#ink.append(this.#grip.path);
    } else if (handle) {
      handle.focus({ preventScroll: true });
      this.#grip = { pointer: event.pointerId, joint: Number(handle.dataset.joint), pose: this.#pose };
    } else return;
    event.preventDefault();
    this.#root.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    if (event.pointerId !== this.#grip?.pointer) return;
    if (this.#grip.stroke) this.#extend(event);
    else this.#moveJoint(this.#grip.pose, this.#grip.joint, this.#place(event), { last: false });
  }

  #extend(event) {
    const { stroke, path } = this.#grip;
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const each of steps.length ? steps : [event]) {
      const point = this.#place(each);
      if (Math.hypot(point[0] - stroke.at(-1)[0], point[1] - stroke.at(-1)[1]) > 0.004) stroke.push(point);
    }
    path.setAttribute("d", strokePath(stroke));
  }

  #up(event) {
    if (event.pointerId !== this.#grip?.pointer) return;
    const { stroke, joint } = this.#grip;
    this.#grip = null;
    if (stroke) this.onstroke([...this.#strokes, stroke]);
    else this.onmove(this.#pose, { joint, last: true });
  }

  #key(event, joint) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "x") this.onhide(joint);
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.05 : 0.01;
    const [x, y] = this.#pose[joint];
    this.#moveJoint(this.#pose, joint, [clamp(x + way[0] * step), clamp(y + way[1] * step)], { last: true, key: true });
  }

  #moveJoint(from, joint, point, how) {
    const alone = () => from.map((each, each_idx) => (each_idx === joint ? point : each));
    const pose = this.#keeping ? pull(from, joint, point, this.#skeleton.joints) : alone();
    this.#show(pose);
    this.onmove(pose, { joint, ...how });
  }
}
