"""Prints an answer of `pose` that curl wrote: python answer.py out/headers.txt out/answer.bin

It needs numpy alone, no client of poseserve or Triton.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = {"FP16": "<f2", "FP32": "<f4", "INT32": "<i4", "UINT8": "u1"}


def texts(data: bytes) -> list[bytes]:
    """The elements of a BYTES tensor: each is its length, 4 bytes, and then its bytes."""
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        found.append(data[4:end])
        data = data[end:]
    return found


def read_answer(body: bytes, json_length: int) -> dict[str, NDArray[Any]]:
    """The outputs by their names: JSON describes them, their bytes follow in the same order."""
    tensors, start = {}, json_length
    for output in json.loads(body[:json_length])["outputs"]:
        end = start + output["parameters"]["binary_data_size"]
        data, start = body[start:end], end
        kind = output["datatype"]
        values = np.array(texts(data), object) if kind == "BYTES" else np.frombuffer(data, NUMBERS[kind])
        tensors[output["name"]] = values.reshape(output["shape"])
    return tensors


def main() -> None:
    """Reads both files; what the server refused goes to stderr."""
    if len(sys.argv) != 3:
        sys.exit("usage: python answer.py HEADERS ANSWER")
    headers, body = Path(sys.argv[1]).read_text(), Path(sys.argv[2]).read_bytes()
    length = re.search(r"^Inference-Header-Content-Length: (\d+)", headers, re.MULTILINE | re.IGNORECASE)
    if length is None:
        sys.exit(body.decode(errors="replace"))  # says what was wrong and what is accepted
    tensors = read_answer(body, int(length[1]))
    boxes, scores, keypoints = (tensors[name].tolist() for name in ("BOXES", "SCORES", "KEYPOINTS"))
    rows = zip(boxes, scores, keypoints, strict=True)
    people = [{"box": box, "score": score, "keypoints": points} for box, score, points in rows]
    print(json.dumps({"keypoint_set": tensors["KEYPOINT_SET"][0].decode(), "people": people}))


if __name__ == "__main__":
    main()
