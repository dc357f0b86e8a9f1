"""Image files of every kind that the readers accept, and of kinds that they must refuse, made here.

All show one picture: a file that is turned, deep, transparent, compressed or odd is made so that it comes out again.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

HEIGHT, WIDTH = 48, 61
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
RAMP = np.stack([COLUMNS * 4, ROWS * 5, (ROWS + COLUMNS) * 2], -1).astype(np.uint8)
GREY = np.repeat(RAMP[..., 2:], 3, 2)
ALPHA = (COLUMNS * 3 + 75).astype(np.uint8)
PICTURE = Image.fromarray(RAMP)
STORED = {  # how the picture is turned for a file whose orientation turns it back
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
DATA = Path(__file__).resolve().parents[1] / "data" / "images"


@dataclass(frozen=True)
class Case:
    """A file, its upright pixels u8 [h, w, 3], and how far a reader may be from them."""

    name: str
    encoded: bytes
    pixels: NDArray[np.uint8]
    tolerance: int = 0
    pillow: bool = True  # whether Pillow by itself shows it so


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def accepted() -> list[Case]:
    makers = (plain, deep, turned, tiffs, bitmaps, damaged, animated, heics)
    return [case for make in makers for case in make()]


def plain() -> Iterator[Case]:
    """Formats x modes x options, as Pillow writes them."""
    rgba = PICTURE.copy()
    rgba.putalpha(Image.fromarray(ALPHA))
    images = {mode: PICTURE.convert(mode) for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr")}
    images |= {"RGBA": rgba, "LA": rgba.convert("LA")}
    kinds: dict[str, tuple[str, str, dict[str, Any], int]] = {
        "png": ("PNG", "1 L P LA RGB RGBA", {}, 0),
        "webp": ("WEBP", "L RGB RGBA", {"lossless": True, "exact": True}, 0),
        "lossy webp": ("WEBP", "RGB RGBA", {"quality": 95}, 12),
        "bmp": ("BMP", "1 L P RGB RGBA", {}, 0),
        "dib": ("DIB", "1 L P RGB", {}, 0),
        "gif": ("GIF", "1 L P", {}, 0),
        "interlaced gif": ("GIF", "L", {"interlace": 1}, 0),
        "jpeg": ("JPEG", "L RGB CMYK", {"quality": 95}, 6),
        "jpeg 4:4:4": ("JPEG", "RGB", {"quality": 98, "subsampling": 0}, 4),
        "progressive jpeg": ("JPEG", "L RGB CMYK", {"quality": 95, "progressive": True}, 6),
        "jpeg with restarts": ("JPEG", "RGB", {"quality": 95, "restart_marker_blocks": 1}, 6),
        "mpo": ("MPO", "RGB", {"quality": 95, "save_all": True, "append_images": [PICTURE.rotate(180)]}, 6),
        "avif": ("AVIF", "L RGB RGBA", {"quality": 95, "subsampling": "4:4:4"}, 8),
        "jpeg 2000": ("JPEG2000", "L LA RGB RGBA", {}, 0),
        "jpeg 2000 codestream": ("JPEG2000", "L RGB", {"no_jp2": True}, 0),
        "tiff": ("TIFF", "1 L P LA RGB RGBA CMYK", {}, 0),
        **{
            f"{compression} tiff": ("TIFF", "L P RGB RGBA CMYK", {"compression": compression}, 0)
            for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")
        },
        "fax tiff": ("TIFF", "1", {"compression": "group4"}, 0),
        "jpeg tiff": ("TIFF", "L RGB", {"compression": "jpeg", "quality": 95}, 6),
    }
    for name, (kind, modes, options, tolerance) in kinds.items():
        for mode in modes.split():
            shown = images[mode].convert("RGBA").convert("RGB") if mode == "LA" else images[mode].convert("RGB")
            yield Case(f"{name} {mode}", encode(images[mode], kind, **options), np.asarray(shown), tolerance)


def deep() -> Iterator[Case]:
    """16 bit greys, whose high byte is the picture and whose low byte is not."""
    levels = GREY[..., 0].astype(np.uint16) << 8 | 0xC0
    for kind in ("PNG", "TIFF", "JPEG2000"):
        yield Case(f"{kind} of 16 bit grey", encode(Image.fromarray(levels), kind), GREY, 1, pillow=False)
    rows = np.dstack([levels, levels, levels]).astype(">u2")
    for colour, channels, name in ((2, 3, "rgb"), (6, 4, "rgba"), (4, 2, "grey and alpha")):
        data = np.dstack([rows, rows])[..., :channels].astype(">u2")
        yield Case(f"png of 16 bit {name}", png(data.tobytes(), 2 * channels * WIDTH, 16, colour), GREY)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows: bytes, stride: int, bits: int, colour: int) -> bytes:
    lines = b"".join(b"\0" + rows[at : at + stride] for at in range(0, len(rows), stride))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")


def exif_of(orientation: int, order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    return exif.tobytes()


def xmp_of(orientation: int) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def turned() -> Iterator[Case]:
    """Wherever a file may say how it is to be turned."""
    jpeg = {"quality": 98, "subsampling": 0}
    for orientation, method in STORED.items():
        image = PICTURE.transpose(method)
        exif, xmp = exif_of(orientation), xmp_of(orientation)
        raw = PngInfo()
        raw.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=orientation % 2 == 0)
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=orientation % 2 == 0)
        both = encode(image, "JPEG", exif=exif, **jpeg)
        segment = b"http://ns.adobe.com/xap/1.0/\0<x/>"
        both = both[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + both[2:]
        yield from (
            Case(f"{name} turned by {orientation}", encoded, RAMP, tolerance)
            for name, encoded, tolerance in (
                ("jpeg exif", encode(image, "JPEG", exif=exif, **jpeg), 4),
                ("jpeg big-endian exif", encode(image, "JPEG", exif=exif_of(orientation, ">"), **jpeg), 4),
                ("jpeg exif after xmp", both, 4),
                ("jpeg xmp", encode(image, "JPEG", xmp=xmp, **jpeg), 4),
                ("png exif", encode(image, "PNG", exif=exif), 0),
                ("png text", encode(image, "PNG", pnginfo=raw), 0),
                ("png xmp", encode(image, "PNG", pnginfo=texts), 0),
                ("webp exif", encode(image, "WEBP", lossless=True, exif=exif), 0),
                ("webp xmp", encode(image, "WEBP", lossless=True, xmp=xmp), 0),
                ("tiff", encode(image, "TIFF", tiffinfo={274: orientation}), 0),
                ("lzw tiff", encode(image, "TIFF", tiffinfo={274: orientation}, compression="tiff_lzw"), 0),
                ("avif", encode(image, "AVIF", quality=95, subsampling="4:4:4", exif=exif), 8),
            )
        )


def tiff(
    blocks: list[bytes], photometric: int, bits: int, samples: int, order: str, more: dict[int, int], big: bool = False
) -> bytes:
    """One block is a strip; more are tiles or planes, as the further tags `more` say."""
    offsets, counts = (324, 325) if 322 in more else (273, 279)
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [bits] * samples, 259: [1], 262: [photometric], 277: [samples]}
    tags |= {tag: [value] for tag, value in more.items()}
    tags |= {278: [HEIGHT]} if offsets == 273 else {}
    tags |= {offsets: [], counts: [len(block) for block in blocks]}
    head, count, entry, word = (16, "Q", "HHQ", "Q") if big else (8, "H", "HHI", "I")
    data = head + struct.calcsize(order + count + word) + len(tags) * struct.calcsize(order + entry + word)
    tags[offsets] = [data + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    tables, directory = b"".join(blocks), struct.pack(order + count, len(tags))
    for tag, values in sorted(tags.items()):
        kind, letter = ((16, "Q") if big else (4, "I")) if tag in (offsets, counts) else (3, "H")
        value = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(value) > struct.calcsize(word):
            tables, value = tables + value, struct.pack(order + word, data + len(tables))
        directory += struct.pack(order + entry, tag, kind, len(values)) + value.ljust(
            struct.calcsize(order + word), b"\0"
        )
    mark = b"II" if order == "<" else b"MM"
    start = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    return mark + start + directory + bytes(struct.calcsize(order + word)) + tables


def packed(samples: NDArray[np.uint8], bits: int, order: str) -> bytes:
    """u8 [h, w, s] as samples of `bits`, each row filled up to a whole byte."""
    if bits == 8:
        return samples.tobytes()
    if bits == 16:
        return (samples.astype(np.uint16) * 257).astype(order + "u2").tobytes()
    levels = (samples.reshape(len(samples), -1).astype(int) * (2**bits - 1) + 127) // 255
    planes = levels[..., None] >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(planes.reshape(len(samples), -1).astype(np.uint8), 1).tobytes()


def at_depth(samples: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    levels = (samples.astype(int) * (2**bits - 1) + 127) // 255
    return np.round(levels * 255 / (2**bits - 1)).astype(np.uint8)


def tiles(samples: NDArray[np.uint8], side: int) -> list[NDArray[np.uint8]]:
    height, width = (-(-n // side) * side for n in samples.shape[:2])
    padded = np.zeros((height, width, samples.shape[2]), np.uint8)
    padded[: samples.shape[0], : samples.shape[1]] = samples
    return [padded[y : y + side, x : x + side] for y in range(0, height, side) for x in range(0, width, side)]


def tiffs() -> Iterator[Case]:
    """Depths x byte orders x layouts x alpha, beyond what Pillow writes."""
    grey, alpha = RAMP[..., 2:], ALPHA[..., None]
    with_alpha = np.dstack([RAMP, ALPHA])
    multiplied = np.dstack([np.round(RAMP * (alpha / 255)).astype(np.uint8), ALPHA])
    cmyk = np.dstack([255 - RAMP, np.zeros_like(ALPHA)])
    kinds: dict[str, tuple[NDArray[np.uint8], int, tuple[int, ...], dict[int, int], int]] = {
        "grey": (grey, 1, (2, 4, 8, 16), {}, 0),
        "white is 0": (255 - grey, 0, (2, 4, 8), {}, 0),
        "rgb": (RAMP, 2, (8, 16), {}, 0),
        "unassociated alpha": (with_alpha, 2, (8, 16), {338: 2}, 0),
        "associated alpha": (multiplied, 2, (8, 16), {338: 1}, 3),
        "a fourth sample": (with_alpha, 2, (8, 16), {338: 0}, 0),
        "grey, unassociated alpha": (np.dstack([grey, ALPHA]), 1, (8,), {338: 2}, 0),
        "grey, associated alpha": (np.dstack([multiplied[..., 2], ALPHA]), 1, (8,), {338: 1}, 3),
        "cmyk": (cmyk, 5, (8, 16), {}, 0),
    }
    for name, (samples, photometric, depths, more, tolerance) in kinds.items():
        pixels = GREY if samples.shape[2] < 3 else RAMP
        count = samples.shape[2]
        for bits, order in product(depths, "<>"):
            shown = at_depth(pixels, bits)
            label = f"tiff of {bits} bit {name} in order {order}"
            rows = [packed(samples, bits, order)]
            plain = bits >= 8 and name not in ("grey, associated alpha",) and not (bits == 16 and count == 1)
            parts = (photometric, bits, count, order)
            yield Case(label, tiff(rows, *parts, more), shown, tolerance, plain)
            yield Case(f"big {label}", tiff(rows, *parts, more, big=True), shown, tolerance, plain and order == "<")
            if bits < 8:
                continue
            small = [packed(tile, bits, order) for tile in tiles(samples, 16)]
            yield Case(f"tiled {label}", tiff(small, *parts, {322: 16, 323: 16} | more), shown, tolerance, plain)
            if count > 2:
                planes = [packed(samples[..., i : i + 1], bits, order) for i in range(count)]
                yield Case(f"planar {label}", tiff(planes, *parts, {284: 2} | more), shown, tolerance, pillow=False)
    both = np.dstack([grey, ALPHA])
    for order in "<>":  # OpenCV reads these
        name = f"in order {order}"
        rows = [packed(both, 16, order)]
        yield Case(f"tiff of 16 bit grey and alpha {name}", tiff(rows, 1, 16, 2, order, {338: 2}), GREY, 1, False)
        rows = [packed(255 - grey, 16, order)]
        yield Case(f"tiff of 16 bit, white is 0, {name}", tiff(rows, 0, 16, 1, order, {}), GREY, 1, False)
    twelve = packed(grey, 12, "<")
    yield Case("tiff of 12 bit grey", tiff([twelve], 1, 12, 1, "<", {}), GREY, 1, False)


def bmp(bits: int, header: int, compression: int, data: bytes, extra: bytes = b"", height: int = HEIGHT) -> bytes:
    """A bitmap with a header of 12, 40, 56, 108 or 124 bytes; `extra` are masks or a palette."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, compression, len(data), 2835, 2835, 0, 0)
        info = struct.pack("<I", header) + info[4:]
        masks, extra = (extra[: header - 40], extra[header - 40 :]) if compression == 3 else (b"", extra)
        info += masks.ljust(header - 40, b"\0")
    start = 14 + len(info) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + extra + data


def bitmaps() -> Iterator[Case]:
    def rows(array: NDArray[Any], flip: bool = True) -> bytes:
        lines = [row.tobytes() for row in (array[::-1] if flip else array)]
        return b"".join(line + bytes(-len(line) % 4) for line in lines)

    def fives(green: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        depths = (5, green, 5)
        levels = [(RAMP[..., i].astype(int) * (2**d - 1) + 127) // 255 for i, d in enumerate(depths)]
        shown = np.dstack([level * 255 // (2**d - 1) for level, d in zip(levels, depths, strict=True)])
        return (levels[0] << 5 + green | levels[1] << 5 | levels[2]).astype("<u2"), shown.astype(np.uint8)

    bgr = np.ascontiguousarray(RAMP[..., ::-1])
    alpha = np.dstack([bgr, ALPHA])
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0)
    for header in (12, 40, 108, 124):
        yield Case(f"bmp of 24 bit, header {header}", bmp(24, header, 0, rows(bgr)), RAMP)
    for header in (40, 108, 124):
        yield Case(
            f"bmp of 24 bit, top down, header {header}", bmp(24, header, 0, rows(bgr, False), height=-HEIGHT), RAMP
        )
        yield Case(f"bmp of 32 bit, header {header}", bmp(32, header, 0, rows(alpha)), RAMP)
        yield Case(
            f"bmp of 32 bit fields, header {header}",
            bmp(32, header, 3, rows(alpha), masks[: max(12, min(16, header - 40))]),
            RAMP,
        )
    packed_565, shown_565 = fives(6)
    packed_555, shown_555 = fives(5)
    masks_565, masks_555 = struct.pack("<III", 0xF800, 0x7E0, 0x1F), struct.pack("<III", 0x7C00, 0x3E0, 0x1F)
    for header in (40, 56, 108, 124):
        yield Case(f"bmp 565, header {header}", bmp(16, header, 3, rows(packed_565), masks_565), shown_565, 4)
        yield Case(f"bmp 555 fields, header {header}", bmp(16, header, 3, rows(packed_555), masks_555), shown_555, 4)
    yield Case("bmp 555", bmp(16, 40, 0, rows(packed_555)), shown_555, 4)
    white = np.full((HEIGHT, WIDTH), 0x7FFF, "<u2")
    yield Case("white bmp 555", bmp(16, 40, 0, rows(white)), np.full_like(RAMP, 255))
    palette = np.arange(256, dtype=np.uint8)[:, None] * np.array([1, 1, 1, 0], np.uint8)
    grey = GREY[::-1, :, 0]
    padded = b"".join(runs(np.pad(row, (0, 64 - WIDTH), "edge")) + b"\0\0" for row in grey) + b"\0\1"
    exact = b"".join(runs(row) + b"\0\0" for row in grey) + b"\0\1"
    yield Case("bmp of run lengths", bmp(8, 40, 1, exact, palette.tobytes()), GREY)
    yield Case("bmp of run lengths that go over the row", bmp(8, 40, 1, padded, palette.tobytes()), GREY)
    four = at_depth(GREY, 4)
    nibbles = np.pad(four[..., 0] // 17, ((0, 0), (0, 1)))
    small = (np.arange(16, dtype=np.uint8)[:, None] * np.array([17, 17, 17, 0], np.uint8)).tobytes()
    yield Case("bmp of 4 bit", bmp(4, 40, 0, rows(nibbles[:, ::2] << 4 | nibbles[:, 1::2]), small), four)


def runs(row: NDArray[np.uint8]) -> bytes:
    edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    return b"".join(bytes([end - start, row[start]]) for start, end in pairwise(edges))


def jpeg_headers(encoded: bytes) -> list[tuple[int, int]]:
    """Start and end of each segment before the picture data."""
    found, offset = [], 2
    while encoded[offset + 1] != 0xDA:
        end = offset + 2 + int.from_bytes(encoded[offset + 2 : offset + 4], "big")
        found.append((offset, end))
        offset = end
    return found


def damaged() -> Iterator[Case]:
    """Damage that leaves the picture whole, as viewers show it."""
    jpeg = encode(PICTURE, "JPEG", quality=98, subsampling=0, comment=b"a comment", icc_profile=b"p" * 50)
    for start, end in jpeg_headers(jpeg):
        for junk in (b"abcde", b"\0\0\0", b"\xff\xff\xff", b"\xff\0\xff\0"):
            name = f"jpeg with {junk!r} after marker {jpeg[start + 1]:x} at {start}"
            yield Case(name, jpeg[:end] + junk + jpeg[end:], RAMP, 4, pillow=False)
        if jpeg[start + 1] >= 0xE0:
            for length in (0, 1, 2, 3, end - start - 5, end - start - 3):
                name = f"jpeg with length {length} of marker {jpeg[start + 1]:x}"
                wrong = jpeg[: start + 2] + struct.pack(">H", length) + jpeg[start + 4 :]
                yield Case(name, wrong, RAMP, 4, pillow=False)
    encoded = encode(PICTURE, "PNG")
    for name in (b"tEXt", b"iCCP", b"gAMA", b"eXIf", b"teSt"):
        chunk = png_chunk(name, b"k\0\0value")
        wrong = encoded[:33] + chunk[:-1] + bytes([chunk[-1] ^ 1]) + encoded[33:]
        yield Case(f"png with a wrong checksum of {name.decode()}", wrong, RAMP, 0, pillow=False)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000)))
    yield Case("png with a text of 3 MB", encoded[:33] + text + encoded[33:], RAMP, 0, pillow=False)
    exif = (b"II*\0", b"MM\0*\xff\xff\xff\xff", exif_of(9), exif_of(0), b"II*\0\x08\0\0\0\xff\xff" + bytes(20))
    for number, (kind, block) in enumerate(product(("JPEG", "PNG", "WEBP"), exif)):
        options: dict[str, Any] = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
        yield Case(f"{kind} with damaged exif {number}", encode(PICTURE, kind, exif=block, **options), RAMP, 4, False)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
        image = PICTURE if kind != "GIF" else PICTURE.convert("L")
        shown = np.asarray(image.convert("RGB"))
        yield Case(f"{kind} with bytes behind it", encode(image, kind, **options) + b"\0behind" * 9, shown, 4)


def animated() -> Iterator[Case]:
    """The first frame or page counts; of an animated PNG its still picture."""
    second = Image.new("RGB", PICTURE.size, (0, 255, 0))
    lossless: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}
    for kind, options in lossless.items():
        yield Case(f"animated {kind}", encode(PICTURE, kind, save_all=True, append_images=[second], **options), RAMP)
    frames = [PICTURE.convert("L"), second.convert("L")]
    yield Case(
        "animated gif",
        encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        np.asarray(frames[0].convert("RGB")),
    )
    apart = encode(PICTURE, "PNG", save_all=True, append_images=[second, second.rotate(90)], default_image=True)
    yield Case("animated png with a still picture apart", apart, RAMP)
    avif = encode(PICTURE, "AVIF", quality=95, subsampling="4:4:4", save_all=True, append_images=[second])
    yield Case("animated avif", avif, RAMP, 8)
    encoded = encode(PICTURE, "PNG")
    hostile = png_chunk(b"acTL", b"\0\x7f\2\0" + bytes(4)) + png_chunk(b"fdAT", bytes(3))
    yield Case("png with a broken animation", encoded[:33] + hostile + encoded[33:], RAMP, 0, pillow=False)


def heics() -> Iterator[Case]:
    """No package of the tests writes them: see tests/data/README.md."""
    grey = np.asarray(PICTURE.convert("L").convert("RGB"))
    for name, shown in {"rgba": RAMP, "10bit": RAMP, "grey": grey, "exif6": np.rot90(RAMP, -1)}.items():
        yield Case(f"heic {name}", (DATA / f"ramp_{name}.heic").read_bytes(), shown, 10, pillow=False)


def refused() -> list[tuple[str, bytes]]:
    """Name and file: cut, or of a kind that is named."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    kinds = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "JPEG2000")
    files = {kind: encode(noise, kind) for kind in kinds}
    files["HEIC"] = (DATA / "ramp_rgba.heic").read_bytes()
    cuts = [
        (f"{kind} cut at {part:.0%}", encoded[: int(len(encoded) * part)])
        for kind, encoded in files.items()
        for part in (0.1, 0.5, 0.9, 0.99)
    ]
    floats = encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    ink = tiff([bytes(HEIGHT * WIDTH * 5)], 5, 8, 5, "<", {338: 2})
    return [*cuts, ("TIFF of 32 bit", floats), ("TIFF of CMYK and alpha", ink)]
