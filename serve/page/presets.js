// Named poses, by joint name. Angles are degrees from straight down, positive to the right of the picture;
// the figure faces us, so its left limbs are on the right.

const LENGTHS = { head: 0.15, spine: 0.27, upper: 0.17, fore: 0.16, thigh: 0.22, shin: 0.23 };
const MARGIN = 0.1;

// name: [head, spine, l_upper, l_fore, r_upper, r_fore, l_thigh, l_shin, r_thigh, r_shin]; the spine runs up from the hip
const ANGLES = {
  Standing: [180, 180, 22, 8, -22, -8, 8, 4, -8, -4],
  Greeting: [176, 180, 24, 6, -105, -172, 8, 4, -8, -4],
  "Arms wide": [180, 180, 88, 90, -88, -90, 12, 6, -12, -6],
  Walking: [172, 177, -22, 12, 28, 48, -20, -32, 24, 6],
  Running: [160, 166, -52, 32, 62, 140, -18, -88, 68, -14],
  Jumping: [184, 178, 128, 158, -128, -158, 42, -28, -36, -62],
  Cheering: [180, 180, 150, 172, -150, -172, 14, 8, -14, -8],
  Thinking: [168, 178, 34, -98, -16, 62, 10, 2, -10, -4],
  "Hands on hips": [180, 180, 52, -58, -52, 58, 14, 8, -14, -8],
  Pointing: [186, 182, 92, 88, -26, -8, 10, 4, -14, -6],
  Kicking: [196, 196, 72, 108, -46, -84, 84, 92, -4, -2],
  Sitting: [178, 176, 30, 62, -8, 44, 78, 4, 58, -6],
  Kneeling: [176, 180, 20, -8, -24, 12, 64, -4, -8, -84],
  Dancing: [190, 172, 118, 196, -92, -30, 28, -10, -34, -74],
  Bowing: [122, 134, 22, 8, -8, -14, 4, 0, -6, -2],
  Fencing: [178, 186, 86, 94, -112, -150, 58, 2, -48, -36],
};

/** Pose (list of [x, y] in the order of `joints`), fitted into the unit square. */
function pose(angles, joints) {
  const step = ([x, y], degrees, length) => [x + length * Math.sin((degrees * Math.PI) / 180), y + length * Math.cos((degrees * Math.PI) / 180)];
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
  return fit(joints.map((name) => at[name]));
}

function fit(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = (1 - 2 * MARGIN) / Math.max(right - left, bottom - top);
  return points.map(([x, y]) => [0.5 + (x - (left + right) / 2) * scale, 0.5 + (y - (top + bottom) / 2) * scale]);
}

export const presets = (joints) => Object.entries(ANGLES).map(([name, angles]) => ({ name, pose: pose(angles, joints) }));
