// Named poses, drawn by hand for this page. Angles are degrees from straight down, positive to the right of the picture;
// a limb seen shortened is [angle, share of its length]. A figure that faces us has its left limbs on the right.

import { fit } from "./figure.js";

const LENGTHS = { head: 0.15, spine: 0.27, upper: 0.17, fore: 0.155, thigh: 0.225, shin: 0.225 };

// name: [head, spine, l_upper, l_fore, r_upper, r_fore, l_thigh, l_shin, r_thigh, r_shin]; the spine runs up from the hip
const ANGLES = {
  Standing: [180, 180, 18, 6, -18, -6, 7, 3, -7, -3],
  Contrapposto: [188, 172, 22, 0, -60, 54, 20, 0, -3, -8],
  "Hands on hips": [180, 180, 58, -54, -58, 54, 17, 10, -17, -10],
  "Arms crossed": [180, 180, 40, -102, -40, 102, 13, 7, -13, -7],
  Thinking: [[166, 0.94], 180, 28, -96, [-40, 0.95], [157, 0.95], 15, 6, -8, -4],
  Shy: [[163, 0.88], 177, 34, -38, -30, 42, 2, 15, -5, -14],
  Waving: [174, 179, 20, 6, -102, -168, 9, 4, -6, -3],
  Pointing: [172, 183, 94, 90, -60, 54, 18, 9, -12, -7],
  Saluting: [180, 180, 16, 4, -102, 137, 4, 2, -4, -2],
  "Peace sign": [168, 185, 62, 160, -58, 56, 14, -22, -3, -3],
  Cheering: [183, 180, 138, 152, -138, -152, 16, 9, -16, -9],
  Bowing: [104, 116, 12, 5, -2, -4, 3, -2, -4, -6],
  Walking: [175, 176, -30, -4, 28, 56, 27, 9, -16, -42],
  Running: [158, 161, -66, 26, 46, 132, 78, -8, -26, -92],
  Jumping: [184, 178, 128, 154, -128, -154, 54, -46, -40, -114],
  Flying: [140, 124, 122, 119, -34, 58, -62, -68, -34, -106],
  Falling: [232, 214, 150, 168, -160, 172, 72, 130, 44, 96],
  Landing: [150, 134, 15, 8, -96, -120, 103, -32, -62, -78],
  Kicking: [208, 209, 62, 134, -64, 6, 110, 112, -2, 2],
  Punching: [164, 165, 91, 92, -66, 72, 58, -4, -42, -50],
  "Sword stance": [178, 180, 36, 104, 16, 99, 50, -8, -38, -30],
  Archery: [176, 182, 92, 91, -99, 83, 22, 10, -24, -11],
  "Magical girl": [192, 173, 142, 150, -54, -66, 5, -2, -18, -116],
  Dancing: [192, 176, 122, 200, -82, -108, 2, -2, -68, 52],
  Arabesque: [158, 155, 114, 118, -82, -92, 2, -1, -88, -94],
  Stretching: [206, 195, 158, 212, -54, 56, 17, 10, -13, -8],
  Sitting: [177, 182, 22, 64, 0, 60, 88, 8, 80, -8],
  "Leaning back": [192, 206, -48, 17, -49, -12, 136, 40, 88, 89],
  "Hugging knees": [[146, 0.95], 169, 3, 95, -12, 83, 141, 38, 136, 34],
  "Cross-legged": [180, 180, 40, 16, -40, -16, [76, 0.9], [-103, 0.85], [-76, 0.9], [103, 0.85]],
  Squatting: [[180, 0.9], [176, 0.92], 52, 20, -48, -12, [110, 0.85], [-10, 0.92], [-108, 0.85], [8, 0.92]],
  Kneeling: [177, 177, 49, 18, -20, 6, 86, 1, -4, -86],
  Seiza: [177, 179, 56, 5, [44, 0.95], [-6, 0.93], 81, -85, 85, -88],
  Crawling: [132, 101, [20, 0.9], [6, 0.9], [-14, 0.88], [-6, 0.88], 26, -76, -10, -88],
  Lying: [-93, -90, [-67, 0.9], [-159, 0.9], 66, 92, 143, 28, 89, 90],
  "Lying prone": [-148, -111, [-18, 0.92], -164, [6, 0.88], [-142, 0.96], 87, 156, 85, -170],
};

/** Pose (list of [x, y] in the order of `joints`), fitted into the unit square. */
function pose(angles, joints) {
  const [head, spine, lUpper, lFore, rUpper, rFore, lThigh, lShin, rThigh, rShin] = angles;
  const at = { hip: [0, 0] };
  at.neck = step(at.hip, spine, LENGTHS.spine);
  at.head = step(at.neck, head, LENGTHS.head);
  at.l_elbow = step(at.neck, lUpper, LENGTHS.upper);
  at.l_wrist = step(at.l_elbow, lFore, LENGTHS.fore);
  at.r_elbow = step(at.neck, rUpper, LENGTHS.upper);
  at.r_wrist = step(at.r_elbow, rFore, LENGTHS.fore);
  at.l_knee = step(at.hip, lThigh, LENGTHS.thigh);
  at.l_ankle = step(at.l_knee, lShin, LENGTHS.shin);
  at.r_knee = step(at.hip, rThigh, LENGTHS.thigh);
  at.r_ankle = step(at.r_knee, rShin, LENGTHS.shin);
  return fit(
    joints.map((name) => at[name]),
    joints,
  );
}

function step([x, y], bone, length) {
  const [degrees, share] = [bone, 1].flat();
  const angle = (degrees * Math.PI) / 180;
  return [x + length * share * Math.sin(angle), y + length * share * Math.cos(angle)];
}

export const presets = (joints) => Object.entries(ANGLES).map(([name, angles]) => ({ name, pose: pose(angles, joints) }));
