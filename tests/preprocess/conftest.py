"""The steps' modules are imported as Triton imports them: from version folders on `sys.path`."""

import sys
from pathlib import Path

PREPROCESS = Path(__file__).resolve().parents[2] / "preprocess"
sys.path.extend(str(step / "1") for step in sorted(PREPROCESS.iterdir()) if step.is_dir())
