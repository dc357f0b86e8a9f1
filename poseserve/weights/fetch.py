"""Checkpoints from the Hugging Face hub and from plain addresses: room first, resumed when cut, checked at the end."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import httpx2  # what huggingface_hub talks HTTP with; its errors come through
import requests
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import GatedRepoError, XetDownloadError
from tqdm import tqdm

from poseserve.catalogue import Licence
from poseserve.errors import FetchError, LicenceError
from poseserve.weights.disk import check_space

ATTEMPTS = 5  # without a byte of progress
CHUNK = 1 << 20
TIMEOUTS = 10, 60  # seconds until a connection stands, and between two pieces of a body


def fetch_hub(
    repository: str, file: str, folder: Path | None = None, size: int | None = None, sha256: str | None = None
) -> Path:
    """Path of `file` of a Hugging Face repository (`owner/name`), downloaded unless it is there already.

    It lies in `folder`, or else in the cache of huggingface_hub, whose settings hold: HF_TOKEN, HF_ENDPOINT,
    HF_HUB_OFFLINE, HF_HOME and the others. size: bytes. sha256: hexadecimal, or its first digits. Raises FetchError, or
    DiskFullError before the download; a downloaded file of another size or digest is removed.
    """
    try:
        plan = hf_hub_download(repository, file, local_dir=folder, dry_run=True)
        if plan.will_download:
            check_space(Path(plan.local_path), size or plan.file_size or 0)
        path = Path(hf_hub_download(repository, file, local_dir=folder))
    except GatedRepoError as error:
        raise FetchError(
            f"{repository} wants its terms accepted first: log in at https://huggingface.co/{repository}, accept them, "
            "and set HF_TOKEN to a token of that account"
        ) from error
    except (httpx2.HTTPError, XetDownloadError, OSError) as error:
        raise FetchError(f"{repository}/{file}: {' '.join(str(error).split())}") from error
    if plan.will_download:
        _check(path, size, sha256)
    return path


def fetch_url(url: str, target: Path, size: int | None = None, sha256: str | None = None) -> Path:
    """`target`, downloaded from a plain address unless it is there already.

    What came of an unfinished download waits beside it as `<target>.part`; this run or a later one goes on from there.
    size, sha256 and errors as in `fetch_hub`.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    attempts = ATTEMPTS
    while True:
        before = _bytes(part)
        try:
            _download(url, part, target.name, size)
            break
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            attempts = ATTEMPTS if _bytes(part) > before else attempts - 1
            if not attempts:
                raise FetchError(f"{url}: {error}; run the command again, it goes on where it stopped") from error
            time.sleep(1)
    _check(part, size, sha256)
    part.replace(target)
    return target


def _download(url: str, part: Path, name: str, size: int | None) -> None:
    """Append to `part` what is missing of it."""
    have = _bytes(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()  # longer than the file: it belongs to another one
            return _download(url, part, name, size)
        if not response.ok:
            raise FetchError(f"{url}: {response.status_code} {response.reason}")
        if response.status_code != requests.codes.partial_content:
            have = 0
        rest = response.headers.get("Content-Length")
        total = have + int(rest) if rest else size
        check_space(part, (total or 0) - have)
        bar = tqdm(desc=name, initial=have, total=total, unit="B", unit_scale=True, disable=None)
        with part.open("ab" if have else "wb") as file, bar:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(path: Path, size: int | None, sha256: str | None) -> None:
    """FetchError, and the file removed, when its size in bytes or its SHA-256 is another; None is not compared."""
    if size is not None and _bytes(path) != size:
        _refuse(path, f"{_bytes(path):,} bytes, must be {size:,}")
    if sha256 is not None and not (found := digest(path)).startswith(sha256.lower()):
        _refuse(path, f"SHA-256 {found}, must be {sha256}")


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()


def _refuse(path: Path, difference: str) -> NoReturn:
    path.resolve().unlink()  # in the hub's cache, `path` is a link to the file
    path.unlink(missing_ok=True)
    raise FetchError(f"{path.name} is not the expected file ({difference}); it was removed, fetch it again")


def accept_licence(names: Sequence[str], licence: Licence, accepted: bool) -> None:
    """Show the licence that the weights of all `names` have and return once it is accepted: by `accepted`, or at the
    terminal.

    The answer is remembered in `licences.json` of the cache folder, and asked for again when the licence changes.
    Raises LicenceError.
    """
    record = cache_folder() / "licences.json"
    answers = json.loads(record.read_text()) if record.exists() else {}
    asked = [name for name in names if answers.get(name) != licence.name]
    if not asked:
        return
    weights = ", ".join(asked)
    print(f"The weights of {weights} are under {licence.name} ({licence.allows}):\n{licence.url}")
    if not accepted:
        if not sys.stdin.isatty():
            raise LicenceError(
                f"the licence of {weights}, {licence.name}, is not accepted yet: read {licence.url}, then pass "
                "--accept-licence"
            )
        if input("Do you accept it? [y/N] ").strip().lower() not in ("y", "yes"):
            raise LicenceError(f"the licence of {weights} was not accepted: nothing was fetched")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(answers | dict.fromkeys(asked, licence.name), indent=2) + "\n")


def cache_folder() -> Path:
    """Where poseserve keeps what it should remember: $POSESERVE_HOME, or `poseserve` in $XDG_CACHE_HOME or ~/.cache."""
    if home := os.environ.get("POSESERVE_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poseserve"


def find_local(files: Sequence[str], relative: str | None = None) -> Path | None:
    """A checkpoint that was downloaded earlier, to be used in place; the first of the names in `files` that is there.

    Looked for at `relative`/name below $SAPIENS_LITE_CHECKPOINT_ROOT, where `relative` is the folder that the Sapiens
    authors chose for it (`pose/checkpoints/sapiens_1b`), and in the folder $POSESERVE_CHECKPOINTS.
    """
    folders = []
    if relative is not None and (root := os.environ.get("SAPIENS_LITE_CHECKPOINT_ROOT")):
        folders.append(Path(root) / relative)
    if folder := os.environ.get("POSESERVE_CHECKPOINTS"):
        folders.append(Path(folder))
    return next((path for file in files for path in (place / file for place in folders) if path.is_file()), None)
