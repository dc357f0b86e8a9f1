"""One rendered person: proportions, pose and clothes, built from round cones and ellipsoids.

Body frame: x to the image's right, y down, z towards the viewer; the person is about 1 unit tall and the origin is
the pelvis. A person who faces the viewer has their left side at positive x.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np

from demo.face import BROW, EYE, FACE, LIPS, NOSE_RADII, NOSE_TIP, NOSE_TOP, Feature

# Rows of COCO-WholeBody, whose first 17 are COCO's: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles;
# left before right. Of a hand, whose fingers are one cone, a body defines root, thumb and the middle finger's tip.
KEYPOINTS = 133
FACE_KEYPOINTS = [*range(5), *range(23, 91)]
FEET, HANDS, MIDDLE_FINGERTIP = (17, 20), (91, 112), 12  # big toe, small toe, heel; root, thumb, other fingers

# Ids of the 28 Sapiens part classes that such a body shows.
APPAREL, FACE_NECK, HAIR, LOWER_CLOTHING, TORSO, UPPER_CLOTHING = 1, 2, 3, 12, 21, 22
FOOT, HAND, LOWER_ARM, LOWER_LEG = (4, 13), (5, 14), (6, 15), (7, 16)
SHOE, UPPER_ARM, UPPER_LEG = (8, 17), (10, 19), (11, 20)
SHOWN_CLASSES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22)

SKIN = np.array(
    [
        [255, 224, 196],
        [241, 194, 154],
        [224, 172, 120],
        [198, 134, 86],
        [141, 85, 54],
        [96, 58, 38],
        [70, 44, 32],
    ]
)
HAIR_COLOURS = np.array(
    [
        [24, 20, 18],
        [58, 38, 26],
        [104, 68, 40],
        [170, 120, 60],
        [220, 188, 120],
        [150, 60, 30],
        [150, 150, 150],
    ]
)


@dataclass(frozen=True)
class Material:
    """Colour 0..1 RGB, and a pattern of a second colour over it."""

    colour: np.ndarray
    second: np.ndarray = field(default_factory=lambda: np.zeros(3))
    pattern: str = "plain"  # plain, stripes, hoops, checks, dots
    period: float = 0.06


@dataclass(frozen=True)
class Solid:
    """A round cone from `a` to `b` (radii `ra`, `rb`), or, with `axes`, an ellipsoid at `a`.

    `axes` [3, 3] holds the ellipsoid's semi-axes as columns. `frame` [3, 3] turns patterns with the limb.
    """

    part: int
    material: Material
    a: np.ndarray
    b: np.ndarray
    ra: float
    rb: float
    axes: np.ndarray | None = None
    frame: np.ndarray = field(default_factory=lambda: np.eye(3))


@dataclass(frozen=True)
class Body:
    """`solids` and `joints` [133, 3] in the body frame, `joint_radii` [133] of the flesh around each.

    Joints are in the order of COCO-WholeBody; those that no solid defines are NaN.
    """

    solids: list[Solid]
    joints: np.ndarray
    joint_radii: np.ndarray

    def placed(self, scale: float, x: float, y: float) -> Body:
        """The same body in image pixels: `scale` pixels per unit, the pelvis at (`x`, `y`)."""
        offset = np.array([x, y, 0.0])
        solids = [
            Solid(
                s.part,
                s.material,
                s.a * scale + offset,
                s.b * scale + offset,
                s.ra * scale,
                s.rb * scale,
                None if s.axes is None else s.axes * scale,
                s.frame,
            )
            for s in self.solids
        ]
        return Body(solids, self.joints * scale + offset, self.joint_radii * scale)


def rotation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Rz(z) @ Ry(y) @ Rx(x), angles in degrees, [3, 3]."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(np.radians([x, y, z])), np.cos(np.radians([x, y, z]))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx


@dataclass
class Pose:
    """Joint angles in degrees; pairs are (left, right)."""

    turn: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    lean: float = 0.0
    twist: float = 0.0
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    arm_raise: list[float] = field(default_factory=lambda: [10.0, 10.0])
    arm_forward: list[float] = field(default_factory=lambda: [0.0, 0.0])
    arm_twist: list[float] = field(default_factory=lambda: [0.0, 0.0])
    elbow: list[float] = field(default_factory=lambda: [15.0, 15.0])
    leg_spread: list[float] = field(default_factory=lambda: [4.0, 4.0])
    leg_forward: list[float] = field(default_factory=lambda: [0.0, 0.0])
    knee: list[float] = field(default_factory=lambda: [5.0, 5.0])


def random_pose(rng: np.random.Generator) -> Pose:
    """A pose from one of several families (standing, walking, sitting, arms up, crouching, free)."""
    u = rng.uniform
    pair = lambda low, high: [float(v) for v in u(low, high, 2)]  # noqa: E731
    pose = Pose(
        turn=float(rng.choice([rng.normal(0, 25), rng.normal(180, 20), u(-180, 180)], p=[0.7, 0.18, 0.12])),
        tilt=float(u(-5, 14)),
        roll=float(rng.normal(0, 5)) if rng.random() < 0.95 else float(u(-30, 30)),
        lean=float(rng.normal(4, 7)),
        twist=float(rng.normal(0, 12)),
        head=(float(u(-22, 22)), float(rng.normal(0, 25)), float(rng.normal(0, 8))),
        arm_raise=pair(4, 35),
        arm_forward=pair(-20, 30),
        arm_twist=pair(-50, 30),
        elbow=pair(5, 70),
        leg_spread=pair(0, 12),
        leg_forward=pair(-8, 12),
        knee=pair(0, 15),
    )
    family = rng.choice(6, p=[0.32, 0.22, 0.12, 0.2, 0.06, 0.08])
    if family == 1:  # walking, running
        stride, phase = u(15, 55), rng.choice([-1, 1])
        pose.leg_forward = [phase * stride, -phase * stride * 0.6]
        pose.knee = [float(u(5, 60)), float(u(20, 90))][::phase]
        pose.arm_forward = [-phase * float(u(10, 60)), phase * float(u(10, 60))]
        pose.elbow = pair(15, 100)
        pose.lean = float(u(0, 18))
    elif family == 2:  # sitting
        pose.leg_forward, pose.knee, pose.leg_spread = pair(65, 95), pair(60, 105), pair(2, 22)
        pose.arm_forward, pose.elbow = pair(0, 60), pair(10, 110)
    elif family == 3:  # arms up or out
        pose.arm_raise, pose.arm_twist, pose.elbow = pair(60, 170), pair(-90, 90), pair(0, 110)
    elif family == 4:  # crouching
        pose.leg_forward, pose.knee, pose.leg_spread = pair(60, 105), pair(80, 135), pair(5, 30)
        pose.lean, pose.arm_forward = float(u(15, 45)), pair(10, 80)
    elif family == 5:  # free
        pose.arm_raise, pose.arm_forward, pose.arm_twist = pair(0, 150), pair(-40, 90), pair(-90, 90)
        pose.elbow, pose.leg_forward, pose.knee = pair(0, 130), pair(-30, 80), pair(0, 110)
        pose.leg_spread, pose.lean = pair(0, 40), float(rng.normal(8, 15))
    return pose


def _random_colour(rng: np.random.Generator) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.random() ** 1.5 * 0.9, rng.uniform(0.12, 0.97)))


def _random_cloth(rng: np.random.Generator) -> Material:
    pattern = rng.choice(["plain", "stripes", "hoops", "checks", "dots"], p=[0.58, 0.1, 0.12, 0.12, 0.08])
    return Material(_random_colour(rng), _random_colour(rng), str(pattern), float(rng.uniform(0.03, 0.09)))


def build_body(rng: np.random.Generator, pose: Pose | None = None) -> Body:
    """A random person: proportions, clothes and, unless given, pose."""
    pose = pose or random_pose(rng)
    stout, legs, arms = rng.uniform(0.88, 1.3), rng.uniform(0.94, 1.06), rng.uniform(0.94, 1.06)
    child = rng.random() < 0.12
    head_size = rng.uniform(1.2, 1.35) if child else rng.uniform(0.94, 1.08)
    limb = stout**0.6 * rng.uniform(0.92, 1.08)

    skin = Material(np.clip(SKIN[rng.integers(len(SKIN))] / 255 + rng.normal(0, 0.015, 3), 0, 1))
    hair = Material(np.clip(HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))] / 255 + rng.normal(0, 0.02, 3), 0, 1))
    top, bottom, shoes = _random_cloth(rng), _random_cloth(rng), Material(_random_colour(rng) * 0.8)
    sleeves = rng.choice([0.0, 0.25, 0.6, 1.0, 2.0], p=[0.1, 0.1, 0.4, 0.05, 0.35])  # in bones from the shoulder
    trousers = rng.choice([0.35, 0.85, 1.4, 2.0], p=[0.12, 0.28, 0.1, 0.5])  # in bones from the hip
    skirt = rng.random() < 0.16
    bare_chest, barefoot = rng.random() < 0.12, rng.random() < 0.16

    root = rotation(x=pose.tilt) @ rotation(z=pose.roll) @ rotation(y=pose.turn)
    chest = root @ rotation(x=-pose.lean) @ rotation(y=pose.twist)
    head = chest @ rotation(x=pose.head[0], y=pose.head[1], z=pose.head[2])
    solids: list[Solid] = []
    joints, radii = np.full((KEYPOINTS, 3), np.nan), np.full(KEYPOINTS, 0.02)

    def cone(part, material, a, b, ra, rb, frame=chest):
        solids.append(Solid(part, material, np.asarray(a), np.asarray(b), ra, rb, frame=frame))

    def ball(part, material, centre, semi_axes, frame):
        axes = frame @ np.diag(semi_axes)
        solids.append(Solid(part, material, centre, centre, 0.0, 0.0, axes=axes, frame=frame))

    # Trunk: two side-by-side columns are wider than deep, as a trunk is.
    waist = root @ np.array([0.0, -0.085, 0.0])
    neck = waist + chest @ np.array([0.0, -0.215, 0.0])
    trunk_part, trunk_material = (TORSO, skin) if bare_chest else (UPPER_CLOTHING, top)
    puff = 0.0 if bare_chest else 0.005
    for side in (1, -1):
        chest_side = neck + chest @ np.array([side * 0.05 * stout, 0.065, 0.0])
        waist_side = waist + chest @ np.array([side * 0.04 * stout, 0.0, 0.0])
        hip_side = root @ np.array([side * 0.048 * stout, -0.005, 0.0])
        cone(trunk_part, trunk_material, chest_side, waist_side, 0.066 * stout + puff, 0.056 * stout + puff)
        cone(LOWER_CLOTHING, bottom, waist_side, hip_side, 0.0555 * stout, 0.066 * stout, root)
    shoulder_half = 0.112 * (0.6 + 0.4 * stout)
    shoulders = [neck + chest @ np.array([s * shoulder_half, 0.028, 0.0]) for s in (1, -1)]
    cone(trunk_part, trunk_material, shoulders[0], shoulders[1], 0.038 * limb + puff, 0.038 * limb + puff)
    cone(
        FACE_NECK,
        skin,
        neck + chest @ np.array([0, 0.012, 0.0]),
        neck + chest @ np.array([0, -0.06, 0.01]),
        0.033,
        0.03,
    )

    # Head
    skull = neck + chest @ np.array([0.0, -0.058, 0.008]) + head @ np.array([0.0, -0.062, 0.008]) * head_size
    at = lambda x, y, z: skull + head @ np.array([x, y, z]) * head_size  # noqa: E731

    def feature(shape: Feature, material: Material, side: int) -> np.ndarray:
        x, y, z = shape.centre
        centre = at(side * x, y, z)
        ball(FACE_NECK, material, centre, np.array(shape.semi_axes) * head_size, head)
        return centre

    ball(FACE_NECK, skin, skull, np.array([0.054, 0.076, 0.064]) * head_size, head)
    cone(FACE_NECK, skin, at(0, 0.03, 0.02), at(0, 0.05, 0.026), 0.04 * head_size, 0.026 * head_size, head)
    dark = Material(np.array([0.08, 0.06, 0.06]))
    lips = Material(skin.colour * np.array([0.82, 0.5, 0.5]))
    bridge, tip = (r * head_size for r in NOSE_RADII)
    cone(FACE_NECK, Material(skin.colour * 0.93), at(*NOSE_TOP), at(*NOSE_TIP), bridge, tip, head)
    feature(LIPS, lips, 1)
    joints[0] = at(*NOSE_TIP)
    joints[23:91] = skull + FACE @ head.T * head_size
    for i, side in enumerate((1, -1)):
        eye = feature(EYE, Material(np.array([0.95, 0.95, 0.95])), side)
        pupil = at(side * 0.022, -0.008, 0.0605)
        ball(FACE_NECK, dark, pupil, np.array([0.0065, 0.0065, 0.005]) * head_size, head)
        feature(BROW, Material(hair.colour * 0.8), side)
        ear = at(side * 0.056, 0.004, -0.002)
        ball(FACE_NECK, skin, ear, np.array([0.009, 0.019, 0.012]) * head_size, head)
        joints[1 + i], joints[3 + i] = eye, ear
    radii[FACE_KEYPOINTS] = 0.014 * head_size
    style = rng.choice(["bald", "short", "bob", "long", "bun"], p=[0.08, 0.42, 0.16, 0.24, 0.1])
    if style != "bald":
        ball(HAIR, hair, at(0, -0.021, -0.017), np.array([0.06, 0.07, 0.066]) * head_size, head)
        if style in ("bob", "long"):
            for side in (1, -1):
                cone(
                    HAIR,
                    hair,
                    at(side * 0.035, -0.02, -0.03),
                    at(side * 0.04, 0.06, -0.03),
                    0.034 * head_size,
                    0.028 * head_size,
                    head,
                )
        if style == "long":
            cone(HAIR, hair, at(0, 0.0, -0.04), at(0, 0.15, -0.06), 0.05 * head_size, 0.04 * head_size, head)
        if style == "bun":
            ball(HAIR, hair, at(0, -0.06, -0.075), np.full(3, 0.032) * head_size, head)
    if rng.random() < 0.18:
        hat = _random_cloth(rng)
        ball(APPAREL, hat, at(0, -0.044, -0.01), np.array([0.064, 0.052, 0.07]) * head_size, head)
        if rng.random() < 0.6:
            cone(
                APPAREL,
                hat,
                at(-0.02, -0.05, 0.05),
                at(0.02, -0.05, 0.05),
                0.02 * head_size,
                0.02 * head_size,
                head,
            )
            ball(APPAREL, hat, at(0, -0.046, 0.062), np.array([0.05, 0.008, 0.045]) * head_size, head)

    for i, side in enumerate((1, -1)):
        # Arm
        swing = (
            chest
            @ rotation(z=-side * pose.arm_raise[i])
            @ rotation(x=pose.arm_forward[i])
            @ rotation(y=side * pose.arm_twist[i])
        )
        bend = swing @ rotation(x=pose.elbow[i])
        shoulder = shoulders[i]
        elbow = shoulder + swing @ np.array([0, 0.158 * arms, 0])
        wrist = elbow + bend @ np.array([0, 0.132 * arms, 0])
        fingers = wrist + bend @ np.array([0, 0.058, 0.004])
        cone(UPPER_ARM[i], skin, shoulder, elbow, 0.034 * limb, 0.027 * limb, swing)
        cone(LOWER_ARM[i], skin, elbow, wrist, 0.027 * limb, 0.019 * limb, bend)
        cone(HAND[i], skin, wrist + (fingers - wrist) * 0.3, fingers, 0.022 * limb, 0.015 * limb, bend)
        thumb = wrist + bend @ np.array([-side * 0.026, 0.03, 0.012])
        cone(HAND[i], skin, wrist + (fingers - wrist) * 0.2, thumb, 0.012 * limb, 0.009 * limb, bend)
        if not bare_chest and sleeves > 0:
            end = min(sleeves, 1.0)
            cone(
                UPPER_CLOTHING,
                top,
                shoulder,
                shoulder + (elbow - shoulder) * end,
                0.042 * limb,
                0.036 * limb,
                swing,
            )
            if sleeves > 1:
                cone(
                    UPPER_CLOTHING,
                    top,
                    elbow,
                    elbow + (wrist - elbow) * 0.93,
                    0.034 * limb,
                    0.026 * limb,
                    bend,
                )
        joints[5 + i], joints[7 + i], joints[9 + i] = shoulder, elbow, wrist
        radii[5 + i], radii[7 + i], radii[9 + i] = 0.05 * limb, 0.04 * limb, 0.03 * limb
        hand = HANDS[i]
        joints[hand], radii[hand] = wrist, 0.03 * limb
        joints[hand + 1 : hand + 5] = np.linspace(wrist + (fingers - wrist) * 0.2, thumb, 4)
        joints[hand + MIDDLE_FINGERTIP] = wrist + (fingers - wrist) * 1.2

        # Leg
        hip = root @ np.array([side * 0.056 * stout, 0.0, 0.0])
        thigh = root @ rotation(z=-side * pose.leg_spread[i]) @ rotation(x=pose.leg_forward[i])
        shin = thigh @ rotation(x=-pose.knee[i])
        knee = hip + thigh @ np.array([0, 0.238 * legs, 0])
        ankle = knee + shin @ np.array([0, 0.232 * legs, 0])
        heel = ankle + shin @ np.array([0, 0.026, -0.02])
        toes = ankle + shin @ np.array([side * 0.012, 0.036, 0.085])
        cone(UPPER_LEG[i], skin, hip, knee, 0.056 * limb, 0.04 * limb, thigh)
        cone(LOWER_LEG[i], skin, knee, ankle, 0.04 * limb, 0.026 * limb, shin)
        foot_part, foot_material, foot_puff = (FOOT[i], skin, 0.0) if barefoot else (SHOE[i], shoes, 0.005)
        cone(
            foot_part,
            foot_material,
            ankle + shin @ np.array([0, 0.004, 0]),
            heel,
            0.025 + foot_puff,
            0.022 + foot_puff,
            shin,
        )
        cone(foot_part, foot_material, heel, toes, 0.023 + foot_puff, 0.018 + foot_puff, shin)
        if skirt:
            hem = hip + (knee - hip) * min(trousers, 1.0) * 0.9
            cone(LOWER_CLOTHING, bottom, hip, hem, 0.066 * limb, 0.07 * limb, root)
        else:
            end = min(trousers, 1.0)
            cone(LOWER_CLOTHING, bottom, hip, hip + (knee - hip) * end, 0.063 * limb, 0.05 * limb, thigh)
            if trousers > 1:
                length = 0.95 * (trousers - 1)
                cone(
                    LOWER_CLOTHING,
                    bottom,
                    knee,
                    knee + (ankle - knee) * length,
                    0.048 * limb,
                    0.036 * limb,
                    shin,
                )
        joints[11 + i], joints[13 + i], joints[15 + i] = hip, knee, ankle
        big_toe, small_toe = (toes + shin @ np.array([side * x, 0.0, z]) for x, z in ((-0.011, 0.01), (0.013, 0.004)))
        joints[FEET[i] : FEET[i] + 3] = big_toe, small_toe, heel + shin @ np.array([0, 0, -0.014])
        radii[11 + i], radii[13 + i], radii[15 + i] = 0.085 * limb, 0.06 * limb, 0.04 * limb
    return Body(solids, joints, radii)
