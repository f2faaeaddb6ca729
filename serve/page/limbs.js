// How a figure follows one of its joints while all its limbs keep their lengths. Pure: a pose and a point in, a pose out.
// A pose is a list of [x, y] in [0, 1] of a square, y down, in the order of the release's joints.
// Every step starts from the pose in which the joint was taken hold of: lengths do not creep and a limb once stretched bends back as it was.

const ARM = ["elbow", "wrist"];
const LEG = ["knee", "ankle"];
const CENTRE = ["head", "neck", "hip"];
const STRAIGHT = 1e-3; // sine of the bend below which a limb shows no side that it bends to
const STEPS = 20; // halvings on the way to the picture's edge: a millionth of its width

/** The pose after `joint` (an index) was pulled towards `point`; nothing leaves the picture. */
export function pull(pose, joint, point, joints) {
  const at = Object.fromEntries(joints.map((name, index) => [name, pose[index]]));
  const name = joints[joint];
  if (name === "hip") return carry(pose, minus(point, at.hip));
  const pulled = (share) => {
    const moved = { ...at, ...follow(at, name, between(at[name], point, share)) };
    return joints.map((each) => moved[each]);
  };
  let [stays, leaves] = inside(pulled(1)) ? [1, 1] : [0, 1]; // shares of the way to the point
  for (let step = 0; stays < leaves && step < STEPS; step++) {
    const half = (stays + leaves) / 2;
    if (inside(pulled(half))) stays = half;
    else leaves = half;
  }
  return pulled(stays).map(rounded);
}

/** The whole figure moved, up to the picture's edges. */
function carry(pose, move) {
  const kept = [0, 1].map((axis) => {
    const values = pose.map((each) => each[axis]);
    return Math.max(-Math.min(...values), Math.min(1 - Math.max(...values), move[axis]));
  });
  return pose.map((each) => rounded(plus(each, kept)));
}

/** {name: place} of the joints that move when one of them is pulled: hands and feet bend their limb, all others turn about the joint before. */
function follow(at, name, point) {
  if (name === "head") return turn(at, "neck", ["head"], name, point);
  if (name === "neck") return turn(at, "hip", Object.keys(at).filter((each) => CENTRE.includes(each) || ARM.includes(each.slice(2))), name, point);
  const [side, part] = [name.slice(0, 2), name.slice(2)];
  const [root, [middle, end]] = ARM.includes(part) ? ["neck", ARM] : ["hip", LEG];
  if (part === middle) return turn(at, root, [side + middle, side + end], name, point);
  return bend(at, root, side + middle, side + end, point);
}

/** The joints `carried` turned about `centre` so that `name` looks towards the point. */
function turn(at, centre, carried, name, point) {
  const angle = direction(minus(point, at[centre])) - direction(minus(at[name], at[centre]));
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const turned = (each) => {
    const [x, y] = minus(at[each], at[centre]);
    return plus(at[centre], [c * x - s * y, s * x + c * y]);
  };
  return Object.fromEntries(carried.map((each) => [each, turned(each)]));
}

/** Two bones of lengths a, b whose end goes to the point, or as near as it reaches: the law of cosines gives the angle at the root. */
function bend(at, root, middle, end, point) {
  const [upper, lower] = [minus(at[middle], at[root]), minus(at[end], at[middle])];
  const [a, b] = [Math.hypot(...upper), Math.hypot(...lower)];
  const way = minus(point, at[root]);
  const distance = Math.min(a + b, Math.max(Math.abs(a - b), Math.hypot(...way), 1e-6));
  const towards = direction(Math.hypot(...way) > 1e-6 ? way : minus(at[end], at[root]));
  const opening = Math.acos(Math.max(-1, Math.min(1, (a * a + distance * distance - b * b) / Math.max(2 * a * distance, 1e-12))));
  const elbow = polar(towards - bendSide(upper, lower) * opening, a);
  return { [middle]: plus(at[root], elbow), [end]: plus(at[root], polar(towards, distance)) };
}

/** 1 where the lower bone turns clockwise on the screen from the upper, -1 where it turns back; a straight limb bends outward, with its middle lower. */
function bendSide(upper, lower) {
  const sine = cross(upper, lower);
  if (Math.abs(sine) > STRAIGHT * Math.hypot(...upper) * Math.hypot(...lower)) return Math.sign(sine);
  const [x, y] = upper;
  return y * (x < 0 ? -1 : 1) - x / 2 > 0 ? 1 : -1;
}

const plus = ([x, y], [dx, dy]) => [x + dx, y + dy];
const minus = ([x, y], [dx, dy]) => [x - dx, y - dy];
const cross = ([x1, y1], [x2, y2]) => x1 * y2 - y1 * x2;
const between = (from, to, share) => from.map((value, axis) => value + (to[axis] - value) * share);
const polar = (angle, length) => [length * Math.cos(angle), length * Math.sin(angle)];
const direction = ([x, y]) => Math.atan2(y, x);
const inside = (pose) => pose.flat().every((value) => value > -1e-9 && value < 1 + 1e-9);
const rounded = (point) => point.map((value) => Math.max(0, Math.min(1, value))); // what computing added beyond the edge
