"""One rendered person: a skeleton, and the solids of trunk, head, arms and legs around it.

Body frame: x to the image's right, y down, z towards the viewer; the person is about 1 unit tall and the origin is
the pelvis. A person who faces the viewer has their left side at positive x.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from demo.face import BROW, EAR, EYE, FACE, LIPS, NOSE_RADII, NOSE_TIP, NOSE_TOP, PUPIL, Feature
from demo.looks import Looks, random_looks
from demo.pose import Pose, random_pose
from demo.solids import Material, Matrix, Point, Solid, Vector, ellipsoid, rotation

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

SIDES = (1, -1)  # of the x axis: left, right


@dataclass(frozen=True)
class Body:
    """`solids` and `joints` f64 [133, 3] in the body frame, `joint_radii` f64 [133] of the flesh around each.

    Joints are in the order of COCO-WholeBody; those that no solid defines are NaN.
    """

    solids: list[Solid]
    joints: NDArray[np.float64]
    joint_radii: NDArray[np.float64]

    def placed(self, scale: float, x: float, y: float) -> Body:
        """The same body in image pixels: `scale` pixels per unit, the pelvis at (`x`, `y`)."""
        offset = np.array([x, y, 0.0])
        solids = [
            replace(
                s,
                a=s.a * scale + offset,
                b=s.b * scale + offset,
                ra=s.ra * scale,
                rb=s.rb * scale,
                axes=None if s.axes is None else s.axes * scale,
            )
            for s in self.solids
        ]
        return Body(solids, self.joints * scale + offset, self.joint_radii * scale)


@dataclass(frozen=True)
class _Skeleton:
    """Frames [3, 3] of pelvis, chest and head; places [3] of waist, neck and both shoulders."""

    pelvis: Matrix
    chest: Matrix
    head: Matrix
    waist: Vector
    neck: Vector
    shoulders: tuple[Vector, Vector]


@dataclass(frozen=True)
class _Head:
    """Makes solids of a head from the lengths and places that they have in an average one, in the frame of its skull.

    skull: [3], its middle in the body frame. frame: [3, 3]. size: 1 is average.
    """

    skull: Vector
    frame: Matrix
    size: float

    def at(self, point: Point) -> Vector:
        return self.skull + self.frame @ np.array(point, np.float64) * self.size

    def cone(self, part: int, material: Material, a: Point, b: Point, ra: float, rb: float) -> Solid:
        return Solid(part, material, self.at(a), self.at(b), ra * self.size, rb * self.size, self.frame)

    def ellipsoid(self, part: int, material: Material, centre: Point, semi_axes: Point) -> Solid:
        return ellipsoid(part, material, self.at(centre), np.array(semi_axes) * self.size, self.frame)

    def feature(self, material: Material, feature: Feature, side: int = 1) -> Solid:
        (x, y, z), semi_axes = feature
        return self.ellipsoid(FACE_NECK, material, (side * x, y, z), semi_axes)


def build_body(rng: np.random.Generator, pose: Pose | None = None) -> Body:
    """A random person: proportions, clothes and, unless given, pose."""
    pose = pose or random_pose(rng)
    looks = random_looks(rng)
    skeleton = _skeleton(looks, pose)
    body = Body([], np.full((KEYPOINTS, 3), np.nan), np.full(KEYPOINTS, 0.02))
    _add_trunk(body, looks, skeleton)
    _add_head(body, looks, skeleton)
    for i in range(2):
        _add_arm(body, looks, pose, skeleton, i)
        _add_leg(body, looks, pose, skeleton, i)
    return body


def _skeleton(looks: Looks, pose: Pose) -> _Skeleton:
    pelvis = rotation(x=pose.tilt) @ rotation(z=pose.roll) @ rotation(y=pose.turn)
    chest = pelvis @ rotation(x=-pose.lean) @ rotation(y=pose.twist)
    waist = pelvis @ np.array([0.0, -0.085, 0.0])
    neck = waist + chest @ np.array([0.0, -0.215, 0.0])
    shoulder_half = 0.112 * (0.6 + 0.4 * looks.stout)
    left, right = (neck + chest @ np.array([side * shoulder_half, 0.028, 0.0]) for side in SIDES)
    return _Skeleton(pelvis, chest, chest @ rotation(*pose.head), waist, neck, (left, right))


def _add_trunk(body: Body, looks: Looks, skeleton: _Skeleton) -> None:
    """Two side-by-side columns, which are wider than deep, as a trunk is; shoulders; the neck."""
    pelvis, chest, waist, neck = skeleton.pelvis, skeleton.chest, skeleton.waist, skeleton.neck
    solids, stout = body.solids, looks.stout
    part, material, puff = (TORSO, looks.skin, 0.0) if looks.bare_chest else (UPPER_CLOTHING, looks.top, 0.005)
    for side in SIDES:
        chest_side = neck + chest @ np.array([side * 0.05 * stout, 0.065, 0.0])
        waist_side = waist + chest @ np.array([side * 0.04 * stout, 0.0, 0.0])
        hip_side = pelvis @ np.array([side * 0.048 * stout, -0.005, 0.0])
        solids += [
            Solid(part, material, chest_side, waist_side, 0.066 * stout + puff, 0.056 * stout + puff, chest),
            Solid(LOWER_CLOTHING, looks.bottom, waist_side, hip_side, 0.0555 * stout, 0.066 * stout, pelvis),
        ]
    thickness = 0.038 * looks.limb + puff
    base, top = neck + chest @ np.array([0, 0.012, 0.0]), neck + chest @ np.array([0, -0.06, 0.01])
    solids += [
        Solid(part, material, *skeleton.shoulders, thickness, thickness, chest),
        Solid(FACE_NECK, looks.skin, base, top, 0.033, 0.03, chest),
    ]


def _add_head(body: Body, looks: Looks, skeleton: _Skeleton) -> None:
    base = skeleton.neck + skeleton.chest @ np.array([0.0, -0.058, 0.008])
    head = _Head(base + skeleton.head @ np.array([0.0, -0.062, 0.008]) * looks.head, skeleton.head, looks.head)
    body.solids.extend([*_face(head, looks), *_hair(head, looks), *_hat(head, looks)])
    body.joints[0] = head.at(NOSE_TIP)
    for i, side in enumerate(SIDES):
        body.joints[1 + i], body.joints[3 + i] = (head.feature(looks.skin, f, side).a for f in (EYE, EAR))
    body.joints[23:91] = head.skull + FACE @ head.frame.T * head.size
    body.joint_radii[FACE_KEYPOINTS] = 0.014 * head.size


def _face(head: _Head, looks: Looks) -> list[Solid]:
    skin = looks.skin
    lips = Material(skin.colour * np.array([0.82, 0.5, 0.5]))
    white, dark = Material(np.array([0.95, 0.95, 0.95])), Material(np.array([0.08, 0.06, 0.06]))
    solids = [
        head.ellipsoid(FACE_NECK, skin, (0, 0, 0), (0.054, 0.076, 0.064)),
        head.cone(FACE_NECK, skin, (0, 0.03, 0.02), (0, 0.05, 0.026), 0.04, 0.026),
        head.cone(FACE_NECK, Material(skin.colour * 0.93), NOSE_TOP, NOSE_TIP, *NOSE_RADII),
        head.feature(lips, LIPS),
    ]
    for side in SIDES:
        solids += [
            head.feature(white, EYE, side),
            head.feature(dark, PUPIL, side),
            head.feature(Material(looks.hair.colour * 0.8), BROW, side),
            head.feature(skin, EAR, side),
        ]
    return solids


def _hair(head: _Head, looks: Looks) -> list[Solid]:
    hair, style = looks.hair, looks.hair_style
    if style == "bald":
        return []
    solids = [head.ellipsoid(HAIR, hair, (0, -0.021, -0.017), (0.06, 0.07, 0.066))]
    if style in ("bob", "long"):
        for side in SIDES:
            ends = (side * 0.035, -0.02, -0.03), (side * 0.04, 0.06, -0.03)
            solids.append(head.cone(HAIR, hair, *ends, 0.034, 0.028))
    if style == "long":
        solids.append(head.cone(HAIR, hair, (0, 0.0, -0.04), (0, 0.15, -0.06), 0.05, 0.04))
    if style == "bun":
        solids.append(head.ellipsoid(HAIR, hair, (0, -0.06, -0.075), (0.032, 0.032, 0.032)))
    return solids


def _hat(head: _Head, looks: Looks) -> list[Solid]:
    if looks.hat is None:
        return []
    cloth = looks.hat.cloth
    crown = head.ellipsoid(APPAREL, cloth, (0, -0.044, -0.01), (0.064, 0.052, 0.07))
    if not looks.hat.visor:
        return [crown]
    return [
        crown,
        head.cone(APPAREL, cloth, (-0.02, -0.05, 0.05), (0.02, -0.05, 0.05), 0.02, 0.02),
        head.ellipsoid(APPAREL, cloth, (0, -0.046, 0.062), (0.05, 0.008, 0.045)),
    ]


def _add_arm(body: Body, looks: Looks, pose: Pose, skeleton: _Skeleton, i: int) -> None:
    """i: 0 left, 1 right."""
    solids, joints, radii = body.solids, body.joints, body.joint_radii
    side, skin, limb = SIDES[i], looks.skin, looks.limb
    swing = (
        skeleton.chest
        @ rotation(z=-side * pose.arm_raise[i])
        @ rotation(x=pose.arm_forward[i])
        @ rotation(y=side * pose.arm_twist[i])
    )
    bend = swing @ rotation(x=pose.elbow[i])
    shoulder = skeleton.shoulders[i]
    elbow = shoulder + swing @ np.array([0, 0.158 * looks.arms, 0])
    wrist = elbow + bend @ np.array([0, 0.132 * looks.arms, 0])
    fingers = wrist + bend @ np.array([0, 0.058, 0.004])
    thumb_root, palm = (wrist + (fingers - wrist) * share for share in (0.2, 0.3))
    thumb = wrist + bend @ np.array([-side * 0.026, 0.03, 0.012])
    solids += [
        Solid(UPPER_ARM[i], skin, shoulder, elbow, 0.034 * limb, 0.027 * limb, swing),
        Solid(LOWER_ARM[i], skin, elbow, wrist, 0.027 * limb, 0.019 * limb, bend),
        Solid(HAND[i], skin, palm, fingers, 0.022 * limb, 0.015 * limb, bend),
        Solid(HAND[i], skin, thumb_root, thumb, 0.012 * limb, 0.009 * limb, bend),
    ]
    sleeves = 0.0 if looks.bare_chest else looks.sleeves
    if sleeves > 0:
        end = shoulder + (elbow - shoulder) * min(sleeves, 1.0)
        solids.append(Solid(UPPER_CLOTHING, looks.top, shoulder, end, 0.042 * limb, 0.036 * limb, swing))
    if sleeves > 1:
        end = elbow + (wrist - elbow) * 0.93
        solids.append(Solid(UPPER_CLOTHING, looks.top, elbow, end, 0.034 * limb, 0.026 * limb, bend))
    hand = HANDS[i]
    joints[5 + i], joints[7 + i], joints[9 + i] = shoulder, elbow, wrist
    radii[5 + i], radii[7 + i], radii[9 + i] = 0.05 * limb, 0.04 * limb, 0.03 * limb
    joints[hand], radii[hand] = wrist, 0.03 * limb
    joints[hand + 1 : hand + 5] = np.linspace(thumb_root, thumb, 4)
    joints[hand + MIDDLE_FINGERTIP] = wrist + (fingers - wrist) * 1.2


def _add_leg(body: Body, looks: Looks, pose: Pose, skeleton: _Skeleton, i: int) -> None:
    """i: 0 left, 1 right."""
    solids, joints, radii = body.solids, body.joints, body.joint_radii
    side, skin, limb = SIDES[i], looks.skin, looks.limb
    thigh = skeleton.pelvis @ rotation(z=-side * pose.leg_spread[i]) @ rotation(x=pose.leg_forward[i])
    shin = thigh @ rotation(x=-pose.knee[i])
    hip = skeleton.pelvis @ np.array([side * 0.056 * looks.stout, 0.0, 0.0])
    knee = hip + thigh @ np.array([0, 0.238 * looks.legs, 0])
    ankle = knee + shin @ np.array([0, 0.232 * looks.legs, 0])
    instep = ankle + shin @ np.array([0, 0.004, 0])
    heel = ankle + shin @ np.array([0, 0.026, -0.02])
    toes = ankle + shin @ np.array([side * 0.012, 0.036, 0.085])
    foot, material, puff = (FOOT[i], skin, 0.0) if looks.barefoot else (SHOE[i], looks.shoes, 0.005)
    solids += [
        Solid(UPPER_LEG[i], skin, hip, knee, 0.056 * limb, 0.04 * limb, thigh),
        Solid(LOWER_LEG[i], skin, knee, ankle, 0.04 * limb, 0.026 * limb, shin),
        Solid(foot, material, instep, heel, 0.025 + puff, 0.022 + puff, shin),
        Solid(foot, material, heel, toes, 0.023 + puff, 0.018 + puff, shin),
    ]
    cloth, above = looks.bottom, (knee - hip) * min(looks.trousers, 1.0)
    if looks.skirt:
        solids.append(Solid(LOWER_CLOTHING, cloth, hip, hip + above * 0.9, 0.066 * limb, 0.07 * limb, skeleton.pelvis))
    else:
        solids.append(Solid(LOWER_CLOTHING, cloth, hip, hip + above, 0.063 * limb, 0.05 * limb, thigh))
        if looks.trousers > 1:
            hem = knee + (ankle - knee) * (0.95 * (looks.trousers - 1))
            solids.append(Solid(LOWER_CLOTHING, cloth, knee, hem, 0.048 * limb, 0.036 * limb, shin))
    joints[11 + i], joints[13 + i], joints[15 + i] = hip, knee, ankle
    radii[11 + i], radii[13 + i], radii[15 + i] = 0.085 * limb, 0.06 * limb, 0.04 * limb
    big_toe, small_toe = (toes + shin @ np.array([side * x, 0.0, z]) for x, z in ((-0.011, 0.01), (0.013, 0.004)))
    joints[FEET[i] : FEET[i] + 3] = big_toe, small_toe, heel + shin @ np.array([0, 0, -0.014])
