"""The options of `poseclient video` and `poseclient webcam`; `--help` imports no more than this."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser

from poseclient.argument_types import list_of, moment, positive
from poseclient.image_commands import POSE_FLAGS, Flags

FORMATS = ("csv", "easy_vitpose", "coco", "posetrack", "mot", "parquet")
CODECS = ("h264", "vp9", "av1")
TRACKERS = ("bytetrack", "cbiou", "ocsort", "sort", "none")
LAYERS = ("skeletons", "boxes", "ids", "detections")
USUAL_LAYERS = LAYERS[:3]
# FFmpeg's device and the first camera of each platform.
CAMERAS = {
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "0"),
    "win32": ("dshow", "video=Integrated Camera"),
}
WAIT = 60.0  # seconds for a server that is not ready

VIDEO_FLAGS: Flags = {
    **POSE_FLAGS,
    "--start": {"type": moment, "default": 0.0, "metavar": "TIME", "help": "of the video: seconds, MM:SS or HH:MM:SS"},
    "--end": {"type": moment, "default": math.inf, "metavar": "TIME", "help": "of the video, likewise"},
    "--every": {"type": positive, "default": 1, "metavar": "N", "help": "take every N-th frame (%(default)s)"},
    "--rotate": {
        "type": int,
        "choices": (0, 90, 180, 270),
        "default": 0,
        "help": "degrees counter-clockwise, after the turn that the file asks for (%(default)s)",
    },
    "--tracker": {"choices": TRACKERS, "default": TRACKERS[0], "help": "what gives people their ids (%(default)s)"},
    "--detect-every": {
        "type": positive,
        "default": 1,
        "metavar": "N",
        "help": "detect people in every N-th frame, follow them in between (%(default)s)",
    },
    "--smooth": {"action": "store_true", "help": "keypoints without their trembling"},
    "--focus": {"metavar": "WHO", "help": "one person alone: largest, center, a track id, or a point X,Y in pixels"},
    "--single-pose": {"action": "store_true", "help": "one person at most, without a tracker"},
    "--format": {
        "type": list_of(FORMATS),
        "default": [FORMATS[0]],
        "metavar": "NAME[,NAME]",
        "help": f"of the files: {', '.join(FORMATS)} ({FORMATS[0]})",
    },
    "--no-overlay": {"dest": "overlay", "action": "store_false", "help": "write no video"},
    "--codec": {"choices": CODECS, "default": CODECS[0], "help": "of the video (%(default)s)"},
    "--draw": {
        "type": list_of(LAYERS),
        "default": list(USUAL_LAYERS),
        "metavar": "WHAT[,WHAT]",
        "help": f"{', '.join(USUAL_LAYERS)}; {LAYERS[3]}: the boxes before tracking ({','.join(USUAL_LAYERS)})",
    },
    "--conf-threshold": {
        "type": float,
        "default": 0.3,
        "help": "least score of a drawn keypoint (%(default)s)",
    },
    "--line-width": {"type": positive, "metavar": "PIXELS", "help": "of bones and boxes (fits the video)"},
    "--radius": {"type": positive, "metavar": "PIXELS", "help": "of keypoints (fits the video)"},
    "--show": {"action": "store_true", "help": "show it in a window as well; q or Escape ends"},
}


def add_sources(own: ArgumentParser) -> None:
    """The sources of `video`."""
    own.add_argument("sources", nargs="+", metavar="SOURCE", help="video, folder, pattern, .txt list, URL or camera")
    own.add_argument("--input-format", metavar="NAME", help="FFmpeg's device or filter that reads SOURCE, as v4l2")


def add_cameras(own: ArgumentParser) -> None:
    """The sources of `webcam`: by default the first camera of this machine."""
    input_format, device = CAMERAS.get(sys.platform, CAMERAS["linux"])
    own.add_argument("sources", nargs="*", default=[device], metavar="DEVICE", help="camera (%(default)s)")
    own.add_argument("--input-format", default=input_format, metavar="NAME", help="FFmpeg's device (%(default)s)")
