// Poses as files: our own JSON, {"joints": names, "pose": [[x, y], ...]} in [0, 1] of a square, and OpenPose's. Where some joints are guesses, ours
// has "confidence": [...] too, from 0 to 1; a joint without it is sure. Of ours is also read what `poses/` takes: 22 numbers, the first of a list,
// and shares or pixels of a picture of "width" and "height".
//
// OpenPose (its doc/02_output.md): people[].pose_keypoints_2d = x, y, confidence of each point, in pixels; confidence 0 = missing.
// Written is BODY_25. Our head is its nose, our hip its MidHip; shoulders and hips, which we do not have, lie on the way from the neck to
// the elbow and from the hip to the knee; eyes, ears and feet are missing.
// Read are BODY_25 and COCO-18, the surest of the people in these layouts; the head lies between the ears, or where the points of the face do.
// What is missing is placed where a body would have it, with confidence 0.

import { fit, letterbox } from "./figure.js";

const CANVAS = 512; // side of the square that the pixels are given for
const LEAST = 0.05; // confidence of a joint that is there but was hardly seen
const SHARE = 2; // what is no larger is a share of the picture, where a joint may lie outside; else pixels
const SHOULDER = 0.35;
const SOCKET = 0.2;

const ARMS = ["r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist"];
const FACE = ["r_eye", "l_eye", "r_ear", "l_ear"];
const LAYOUTS = {
  18: ["nose", "neck", ...ARMS, "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", ...FACE],
  25: ["nose", "neck", ...ARMS, "hip", "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", ...FACE, ...Array(6).fill("foot")],
};

export function ourJson(pose, confidence, joints) {
  const unsure = confidence.some((each) => each < 1) ? { confidence } : {};
  return `${JSON.stringify({ joints, pose, ...unsure }, null, 2)}\n`;
}

export function openPoseJson(pose, confidence, joints) {
  const at = Object.fromEntries(joints.map((name, joint) => [name, [...pose[joint], Math.max(confidence[joint], LEAST)]]));
  at.nose = at.head;
  for (const side of ["l", "r"]) {
    at[`${side}_shoulder`] = between(at.neck, at[`${side}_elbow`], SHOULDER);
    at[`${side}_hip`] = between(at.hip, at[`${side}_knee`], SOCKET);
  }
  const rounded = (value) => Number(value.toFixed(3));
  const keypoints = LAYOUTS[25].flatMap((name) => (at[name] ? [at[name][0] * CANVAS, at[name][1] * CANVAS, at[name][2]].map(rounded) : [0, 0, 0]));
  const people = [{ person_id: [-1], pose_keypoints_2d: keypoints }];
  return `${JSON.stringify({ version: 1.3, people, canvas_width: CANVAS, canvas_height: CANVAS })}\n`;
}

/** {pose, confidence} of a file's text, or undefined where it holds no pose. */
export function poseOf(text, joints) {
  try {
    const document = JSON.parse(text);
    const whole = document[0]?.people || document[0]?.pose ? document[0] : document; // editors write a list of pictures
    return whole.people ? openPose(whole, joints) : own(whole, joints);
  } catch {
    return undefined; // no JSON, or JSON of another shape
  }
}

function own(document, joints) {
  const numbers = (document.pose ?? document).flat();
  const names = document.joints ?? joints;
  const sure = document.confidence ?? joints.map(() => 1);
  if (numbers.length !== 2 * joints.length || sure.length !== joints.length || !numbers.every(Number.isFinite) || !sure.every(unit)) return undefined;
  const places = joints.map((name) => names.indexOf(name));
  if (places.includes(-1)) return undefined;
  const points = places.map((place) => numbers.slice(2 * place, 2 * place + 2));
  const shares = numbers.every((value) => value <= SHARE);
  return { pose: inSquare(points, { ...document, shares }, joints), confidence: places.map((place) => sure[place]) };
}

/** Points of a picture, where its size is known, as they lie when it stands in the middle of the square; what does not lie there is made to fit. */
function inSquare(points, { width, height, shares }, joints) {
  const sized = width > 0 && height > 0;
  const place = sized ? letterbox(width, height) : (point) => point;
  const pose = points.map(([x, y]) => place(sized && !shares ? [x / width, y / height] : [x, y]));
  return pose.flat().every(unit) ? pose : fit(pose, joints);
}

const unit = (value) => typeof value === "number" && value >= 0 && value <= 1;

function openPose({ people, canvas_width: width, canvas_height: height }, joints) {
  const known = people.filter((person) => LAYOUTS[person?.pose_keypoints_2d?.length / 3]);
  const seen = known.map(({ pose_keypoints_2d: numbers }) => seenPoints(numbers));
  const sure = (points) => Object.values(points).reduce((sum, point) => sum + point[2], 0);
  const best = seen.reduce((first, each) => (sure(each) > sure(first) ? each : first));
  const at = complete(best);
  if (!joints.every((name) => at[name]?.every(Number.isFinite))) return undefined;
  const shares = Object.values(best).every(([x, y]) => x <= SHARE && y <= SHARE); // OpenPose can be told to write these instead of pixels
  const points = joints.map((name) => at[name]);
  return { pose: inSquare(points, { width, height, shares }, joints), confidence: points.map((point) => Math.min(1, point[2])) };
}

/** {name: [x, y, confidence]} of the points that are there. */
function seenPoints(numbers) {
  const names = LAYOUTS[numbers.length / 3];
  const points = names.map((name, point) => [name, numbers.slice(3 * point, 3 * point + 3)]);
  return Object.fromEntries(points.filter(([, [, , confidence]]) => confidence > 0));
}

/** Fills in what is missing, from the trunk outward; what nothing is known of stays away. */
function complete(seen) {
  const at = { ...seen };
  at.neck ??= middle(at.l_shoulder, at.r_shoulder);
  at.hip ??= middle(at.l_hip, at.r_hip);
  at.head = middle(at.l_ear, at.r_ear) ?? mean(["nose", ...FACE].map((name) => at[name]).filter(Boolean)) ?? guess(at.hip, at.neck, 1.55);
  at.hip ??= guess(at.head, at.neck, 2.8);
  for (const side of ["l", "r"]) {
    at[`${side}_elbow`] ??= guess(at.neck, at[`${side}_wrist`], 0.5) ?? guess(at.head, at.neck, 2.1);
    at[`${side}_wrist`] ??= guess(at.neck, at[`${side}_elbow`], 1.9);
    at[`${side}_knee`] ??= guess(at.hip, at[`${side}_ankle`], 0.5) ?? guess(at.neck, at.hip, 1.8);
    at[`${side}_ankle`] ??= guess(at.hip, at[`${side}_knee`], 2);
  }
  return at;
}

const between = (from, to, share) => from.map((value, axis) => value + (to[axis] - value) * share);
const mean = (points) => points[0]?.map((_, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
const middle = (from, to) => from && to && mean([from, to]);
const guess = (from, to, share) => from && to && [...between(from, to, share).slice(0, 2), 0];
