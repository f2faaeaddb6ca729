"""BVH files of rigs that name their joints in many ways, all of one shape."""

import numpy as np

# name, offset, children; a T-pose that faces the file's +z with y up: head 10 to 14 above the neck's base, shoulders 2 to each side
Rig = tuple[str, tuple[float, float, float], list["Rig"]]


def rig(names: dict[str, str]) -> Rig:
    def limb(side: str, sign: int) -> tuple[Rig, Rig]:
        def name(part: str) -> str:
            return names[f"{side}_{part}"]

        arm = (name("shoulder"), (2.0 * sign, 8, 0), [(name("elbow"), (3.0 * sign, 0, 0), [(name("wrist"), (2.5 * sign, 0, 0), [])])])
        leg = (name("socket"), (1.0 * sign, -1, 0), [(name("knee"), (0, -5, 0), [(name("ankle"), (0, -4.5, 0), [])])])
        return arm, leg  # type: ignore[return-value]

    (l_arm, l_leg), (r_arm, r_leg) = limb("l", 1), limb("r", -1)
    head: Rig = (names["neck"], (0, 8.5, 0), [(names["head"], (0, 1.5, 0), [])])
    return (names["root"], (0, 0, 0), [l_leg, r_leg, (names["spine"], (0, 0, 0), [head, l_arm, r_arm])])


def limbs(left: str, right: str, parts: dict[str, str], after: bool = False) -> dict[str, str]:
    pattern = "{name}{side}" if after else "{side}{name}"
    return {f"{short}_{part}": pattern.format(side=side, name=name) for short, side in (("l", left), ("r", right)) for part, name in parts.items()}


def parts(*names: str) -> dict[str, str]:
    return dict(zip(("shoulder", "elbow", "wrist", "socket", "knee", "ankle"), names, strict=True))


CMU = limbs("Left", "Right", parts("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")) | {
    "root": "Hips", "spine": "LowerBack", "neck": "Neck1", "head": "Head",
}  # fmt: skip
RIGS = {
    "cmu": CMU,
    "mixamo": {part: f"mixamorig:{name}" for part, name in CMU.items()} | {"neck": "mixamorig:Neck"},
    "biped": limbs("Bip01 L ", "Bip01 R ", parts("UpperArm", "Forearm", "Hand", "Thigh", "Calf", "Foot"))
    | {"root": "Bip01", "spine": "Bip01 Spine", "neck": "Bip01 Neck", "head": "Bip01 Head"},
    "perfume": limbs("Left", "Right", parts("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))
    | {"root": "Hips", "spine": "Chest", "neck": "Neck", "head": "Head"},
    "rokoko": limbs("Left", "Right", parts("Arm", "ForeArm", "Hand", "Thigh", "Shin", "Foot"))
    | {"root": "Hips", "spine": "Spine", "neck": "Neck", "head": "Head"},
    "poser": limbs("l", "r", parts("Shldr", "ForeArm", "Hand", "Thigh", "Shin", "Foot"))
    | {"root": "hip", "spine": "abdomen", "neck": "neck", "head": "head"},
    "unreal": limbs("_l", "_r", parts("upperarm", "lowerarm", "hand", "thigh", "calf", "foot"), after=True)
    | {"root": "pelvis", "spine": "spine_01", "neck": "neck_01", "head": "head"},
    "rigify": limbs(".L", ".R", parts("upper_arm", "forearm", "hand", "thigh", "shin", "foot"), after=True)
    | {"root": "hips", "spine": "chest", "neck": "neck", "head": "head"},
    "smpl": limbs("m_avg_L_", "m_avg_R_", parts("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))
    | {"root": "m_avg_Pelvis", "spine": "m_avg_Spine1", "neck": "m_avg_Neck", "head": "m_avg_Head"},
    "asf": limbs("l", "r", parts("humerus", "radius", "wrist", "femur", "tibia", "foot"))
    | {"root": "root", "spine": "thorax", "neck": "lowerneck", "head": "head"},
    "rigify's own": limbs(".L", ".R", parts("DEF-upper_arm", "DEF-forearm", "DEF-hand", "DEF-thigh", "DEF-shin", "DEF-foot"), after=True)
    | {"root": "DEF-spine", "spine": "DEF-spine.001", "neck": "DEF-spine.005", "head": "DEF-spine.006"},
    "daz": limbs("l", "r", parts("ShldrBend", "ForearmBend", "Hand", "ThighBend", "Shin", "Foot"))
    | {"root": "hip", "spine": "abdomenLower", "neck": "neckLower", "head": "head"},
    "makehuman": limbs(".L", ".R", parts("upperarm01", "lowerarm01", "wrist", "upperleg01", "lowerleg01", "foot"), after=True)
    | {"root": "root", "spine": "spine05", "neck": "neck01", "head": "head"},
    "mmd": limbs("左", "右", parts("腕", "ひじ", "手首", "足", "ひざ", "足首")) | {"root": "センター", "spine": "上半身", "neck": "首", "head": "頭"},
    "mmd in blender": limbs(".L", ".R", parts("腕", "ひじ", "手首", "足", "ひざ", "足首"), after=True)
    | {"root": "センター", "spine": "上半身", "neck": "首", "head": "頭"},
    "deepmotion": limbs("l_", "r_", parts("arm_JNT", "forearm_JNT", "hand_JNT", "upleg_JNT", "leg_JNT", "foot_JNT"))
    | {"root": "hips_JNT", "spine": "spine_JNT", "neck": "neck_JNT", "head": "head_JNT"},
    "advancedskeleton": limbs("_L", "_R", parts("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"), after=True)
    | {"root": "Root_M", "spine": "Spine1_M", "neck": "Neck_M", "head": "Head_M"},
    "optitrack": limbs("L", "R", parts("UArm", "FArm", "Hand", "Thigh", "Shin", "Foot"))
    | {"root": "Hip", "spine": "Ab", "neck": "Neck", "head": "Head"},
    "vrm": limbs("J_Bip_L_", "J_Bip_R_", parts("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot"))
    | {"root": "J_Bip_C_Hips", "spine": "J_Bip_C_Spine", "neck": "J_Bip_C_Neck", "head": "J_Bip_C_Head"},
}
TURNS = "Zrotation Xrotation Yrotation"


def bvh(rig: Rig, frames: np.ndarray, turns: str = TURNS, moves: str = "Xposition Yposition Zposition", end: tuple[float, ...] = (0, 2, 0)) -> str:
    """The rig's text; each frame holds the root's place, then the turns of each joint in the order of the text."""

    def node(rig: Rig, word: str) -> str:
        name, offset, children = rig
        channels = f"CHANNELS 6 {moves} {turns}" if word == "ROOT" else f"CHANNELS 3 {turns}"
        below = "".join(node(child, "JOINT") for child in children) or f"End Site\n{{\nOFFSET {end[0]} {end[1]} {end[2]}\n}}\n"
        return f"{word} {name}\n{{\n\tOFFSET {offset[0]} {offset[1]} {offset[2]}\n\t{channels}\n{below}}}\n"

    lines = "\n".join(" ".join(map(str, frame)) for frame in frames)
    return f"HIERARCHY\n{node(rig, 'ROOT')}MOTION\nFrames: {len(frames)}\nFrame Time: 0.0333333\n{lines}\n"


NUM_CHANNELS = 3 + 3 * 16
STILL = np.zeros((1, NUM_CHANNELS))
