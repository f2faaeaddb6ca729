// What a figure looks like on the page, and where it lies in the square: lines from joint to joint and a round head.
// Coordinates are those of a pose, [0, 1] of a square; the SVG's are 100 times that.

import { svg } from "./dom.js";
import { words } from "./words.js";

const HEAD = 0.62; // radius of the head's circle, as a share of the way to the neck
const MARGIN = 0.1; // room for feet and hair

export const side = (name) => ({ l: "left", r: "right" })[name.split("_")[1] && name[0]] ?? "middle";
export const jointWords = (name) => words(name.replace(/^l_/, "left ").replace(/^r_/, "right "));

/** Lines of a figure; the limb's side is that of its outer joint. */
export function figureLines({ joints, sticks }) {
  return sticks.map(([from, to]) => svg("line", { class: `stick ${side(joints[to])}`, "data-from": from, "data-to": to }));
}

export function placeLines(lines, pose) {
  for (const line of lines) {
    const [[x1, y1], [x2, y2]] = [pose[line.dataset.from], pose[line.dataset.to]];
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, (value * 100).toFixed(2));
  }
}

const headRadius = (pose, joints) => {
  const [[x1, y1], [x2, y2]] = [pose[joints.indexOf("head")], pose[joints.indexOf("neck")]];
  return Math.hypot(x1 - x2, y1 - y2) * HEAD;
};

export function headCircle() {
  return svg("circle", { class: "head" });
}

export function placeHead(circle, pose, joints) {
  const [x, y] = pose[joints.indexOf("head")];
  const radius = Math.min(0.12, Math.max(0.02, headRadius(pose, joints)));
  for (const [name, value] of Object.entries({ cx: x, cy: y, r: radius })) circle.setAttribute(name, (value * 100).toFixed(2));
}

/** A whole figure as a small picture. */
export function thumbnail(pose, skeleton) {
  const [lines, head] = [figureLines(skeleton), headCircle()];
  placeLines(lines, pose);
  placeHead(head, pose, skeleton.joints);
  return svg("svg", { viewBox: "6 6 88 88", "aria-hidden": "true", class: "figure" }, ...lines, head);
}

/** The figure with its round head in the middle of the square, as large as the margin lets it. */
export function fit(pose, joints) {
  const head = pose[joints.indexOf("head")];
  const radius = headRadius(pose, joints);
  const edges = [0, 1].map((axis) => {
    const values = [...pose.map((point) => point[axis]), head[axis] - radius, head[axis] + radius];
    return [Math.min(...values), Math.max(...values)];
  });
  const scale = (1 - 2 * MARGIN) / Math.max(...edges.map(([low, high]) => high - low), 1e-6);
  return pose.map((point) => point.map((value, axis) => 0.5 + (value - (edges[axis][0] + edges[axis][1]) / 2) * scale));
}

/** Where a point of a w x h picture lies when the picture stands in the middle of a square. */
export function letterbox(width, height) {
  const longer = Math.max(width, height);
  return ([x, y]) => [0.5 + ((x - 0.5) * width) / longer, 0.5 + ((y - 0.5) * height) / longer];
}

/** From there back into shares of the picture's own width and height. */
export function unletterbox(width, height) {
  const longer = Math.max(width, height);
  return ([x, y]) => [0.5 + ((x - 0.5) * longer) / width, 0.5 + ((y - 0.5) * longer) / height];
}
