"""What is checked in an encoded image before, or because, OpenCV does not."""

from __future__ import annotations

import struct
from contextlib import suppress

SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
STILL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")


def image_format(encoded: bytes) -> str | None:
    """The format that the first bytes announce, None when it is not an accepted one."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    return next((name for signature, name in SIGNATURES.items() if encoded.startswith(signature)), None)


def still_png(encoded: bytes) -> bytes:
    """The still picture of a PNG; nothing when a chunk runs over the end of the file.

    OpenCV 4.11 allocates the length that a chunk declares, up to 4 GB, before it has the bytes, and its
    decoder of animations can be made to crash: neither ever reaches it.
    """
    kept, offset = [encoded[:8]], 8
    while offset + 12 <= len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, offset)
        chunk = encoded[offset : offset + 12 + length]
        offset += 12 + length
        if name in STILL_CHUNKS:
            kept.append(chunk)
        if name == b"IEND" and offset <= len(encoded):
            return b"".join(kept)
    return b""


def tiff_tags(tiff: bytes) -> dict[int, int]:
    """Tags and values of the first directory of a TIFF or an EXIF block, as far as it can be read.

    A value that is no 16 or 32 bit number counts as 2^32 - 1.
    """
    order = ">" if tiff[:2] == b"MM" else "<"
    tags: dict[int, int] = {}
    with suppress(struct.error):
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            layout = {3: "H", 4: "I"}.get(kind)
            value = struct.unpack_from(order + layout, tiff, entry + 8)[0] if layout else 2**32 - 1
            tags.setdefault(tag, value)
    return tags


def tiff_tile(encoded: bytes) -> int:
    """Pixels of one tile of a TIFF, 0 without tiles: OpenCV allocates them, up to 1 GB, for the smallest image."""
    tags = tiff_tags(encoded)
    return tags.get(0x0142, 0) * tags.get(0x0143, 0)


def jpeg_ends(encoded: bytes) -> bool:
    """Whether an end marker follows the first scan of a JPEG that OpenCV could decode.

    Zeros, as an unfinished download leaves them, are valid picture data to libjpeg; and the thumbnail in the
    header has an end marker of its own.
    """
    offset = 2
    while offset + 4 <= len(encoded) and encoded[offset + 1] != 0xDA:
        padding = encoded[offset + 1] == 0xFF
        offset += 1 if padding else 2 + int.from_bytes(encoded[offset + 2 : offset + 4], "big")
    return encoded.find(b"\xff\xd9", offset) >= 0
