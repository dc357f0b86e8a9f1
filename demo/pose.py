"""How a rendered person holds their joints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Pose:
    """Joint angles in degrees; pairs are [left, right]."""

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
    """A pose of one of several kinds: standing, walking, sitting, arms up, crouching, free."""
    u = rng.uniform

    def pair(low: float, high: float) -> list[float]:
        return [float(v) for v in u(low, high, 2)]

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
    kind = rng.choice(6, p=[0.32, 0.22, 0.12, 0.2, 0.06, 0.08])
    if kind == 1:  # walking, running
        stride, phase = u(15, 55), rng.choice([-1, 1])
        pose.leg_forward = [phase * stride, -phase * stride * 0.6]
        pose.knee = [float(u(5, 60)), float(u(20, 90))][::phase]
        pose.arm_forward = [-phase * float(u(10, 60)), phase * float(u(10, 60))]
        pose.elbow = pair(15, 100)
        pose.lean = float(u(0, 18))
    elif kind == 2:  # sitting
        pose.leg_forward, pose.knee, pose.leg_spread = pair(65, 95), pair(60, 105), pair(2, 22)
        pose.arm_forward, pose.elbow = pair(0, 60), pair(10, 110)
    elif kind == 3:  # arms up or out
        pose.arm_raise, pose.arm_twist, pose.elbow = pair(60, 170), pair(-90, 90), pair(0, 110)
    elif kind == 4:  # crouching
        pose.leg_forward, pose.knee, pose.leg_spread = pair(60, 105), pair(80, 135), pair(5, 30)
        pose.lean, pose.arm_forward = float(u(15, 45)), pair(10, 80)
    elif kind == 5:  # free
        pose.arm_raise, pose.arm_forward, pose.arm_twist = pair(0, 150), pair(-40, 90), pair(-90, 90)
        pose.elbow, pose.leg_forward, pose.knee = pair(0, 130), pair(-30, 80), pair(0, 110)
        pose.leg_spread, pose.lean = pair(0, 40), float(rng.normal(8, 15))
    return pose
