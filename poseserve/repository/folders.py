"""The three folders that Triton serves side by side, of this checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("model_repository", "preprocess", "ensemble")
MODEL_REPOSITORY, PREPROCESS, ENSEMBLE = (ROOT / name for name in FOLDERS)
REPOSITORIES = (MODEL_REPOSITORY, PREPROCESS, ENSEMBLE)
