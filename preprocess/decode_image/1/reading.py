"""From an encoded image to upright RGB pixels. The same file in the step `decode_image` and in `poseclient`."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pi_heif.as_plugin import HeifImageFile
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile, DibImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader takes separate planes of 16 bits for 8

ACCEPTED = "accepted is one JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIC or JPEG 2000 image"
MAX_TILE = 2**24  # pixels of a tile of a TIFF, which libtiff allocates for the smallest image
MAX_RLE = 2**23  # pixels and bytes of a BMP of run lengths, which Pillow decodes in Python: it takes seconds
BAND = 64  # rows that are converted at a time: they stay in the processor's cache
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
BRANDS = {  # of the container that these two share, AVIF first: both also carry the general ones
    "AVIF": {b"avif", b"avis"},
    "HEIC": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}
DIB_HEADERS = (40, 108, 124)  # sizes of the header with which a BMP without its first 14 bytes begins
BIGTIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # of a value, by type
FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # of OpenCV: 0 upside down, 1 mirrored, -1 both; by orientation
PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
PNG_ORIENTATION = (b"eXIf", b"zTXtRaw profile type ", b"tEXtRaw profile type ", b"iTXtXML:com.adobe.xmp")
JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # with a length behind it
JPEG_PICTURE = re.compile(
    rb"\xff([\xc0-\xcf\xda-\xdf]|\xe0..JFIF\0|\xe1..(Exif\0\0|http://ns\.adobe\.com/xap/1\.0/\0)|\xee..Adobe)",
    re.DOTALL,
)


def decode(encoded: bytes, max_pixels: int, max_side: int) -> NDArray[np.uint8]:
    """Pixels u8 [h, w, 3] as a viewer shows them, contiguous.

    16 bit become 8, grey, palette and CMYK become RGB, alpha is dropped; colours that were multiplied with it are
    divided by it first. Of several frames or pages the first counts, of a PNG its still picture.

    Raises ValueError, whose message completes "the image is", for everything that is not a whole image within the
    limits. They are held against the header, before the picture is allocated.
    """
    name = image_format(encoded)
    if name is None:
        start = f", starting with {encoded[:12]!r}" if encoded else ""
        raise ValueError(f"not an image: {len(encoded)} bytes{start}; {ACCEPTED}")
    too_large = (
        f"a {name} that declares too large a picture; accepted are at most {max_pixels} pixels and no side above "
        f"{max_side}"
    )
    try:
        image = READERS[name](encoded)
        if max(image.size) <= max_side and image.width * image.height <= max_pixels:
            return _upright_pixels(image)
    except Image.DecompressionBombError:  # WebP and GIF are held against Pillow's own limit first
        raise ValueError(too_large) from None
    except Exception as error:  # what a damaged file leads Pillow to: OSError, SyntaxError, struct.error and others
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"a {name} of {len(encoded)} bytes that cannot be decoded: truncated, damaged or a rare kind ({reason}); "
            f"{ACCEPTED}"
        ) from error
    raise ValueError(too_large)


def image_format(encoded: bytes) -> str | None:
    """The format that the first bytes announce, None when it is not an accepted one."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    if encoded[4:8] == b"ftyp":
        brands = {encoded[at : at + 4] for at in range(8, min(int.from_bytes(encoded[:4], "big"), 256), 4)}
        return next((name for name, accepted in BRANDS.items() if brands & accepted), None)
    if encoded[12:14] == b"\1\0" and int.from_bytes(encoded[:4], "little") in DIB_HEADERS:
        return "BMP"
    return next((name for signature, name in SIGNATURES.items() if encoded.startswith(signature)), None)


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """u8 [h, w, 3] as a viewer shows it, contiguous; `orientation` is EXIF's, 1..8."""
    turned = cv2.transpose(pixels) if orientation >= 5 else pixels
    return np.asarray(cv2.flip(turned, FLIPS[orientation]) if orientation in FLIPS else turned, np.uint8)


def _upright_pixels(image: ImageFile) -> NDArray[np.uint8]:
    pixels = _by_opencv(image)
    if pixels is None:
        image.load()
        pixels = rgb_pixels(image)
    orientation = 1
    with suppress(Exception):  # damaged metadata: the picture may be whole
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))  # read last: a TIFF is turned by now
    return upright(pixels, orientation if 1 <= orientation <= 8 else 1)


def _by_opencv(image: ImageFile) -> NDArray[np.uint8] | None:
    """A JPEG, still WebP or plain BMP, the same pixels in less time, or what Pillow does not know.

    None for the others, and where OpenCV fails.
    """
    plain = isinstance(image, JpegImageFile | WebPImageFile) and image.mode in ("L", "RGB")
    plain = plain and not getattr(image, "is_animated", False)
    bmp = isinstance(image, BmpImageFile) and "BGR" in (image.tile[0].args or ())
    if not (plain or bmp or isinstance(image, _DeepGreyTiff)):
        return None
    assert image.fp is not None
    image.fp.seek(0)
    encoded = np.frombuffer(image.fp.read(), np.uint8)
    turning = cv2.IMREAD_IGNORE_ORIENTATION if plain else 0  # Pillow finds what OpenCV overlooks
    pixels: NDArray[Any] | None = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | turning)
    if pixels is None or (plain and pixels.shape != (image.height, image.width, 3)):
        return None
    return np.asarray(pixels, np.uint8)


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels u8 [h, w, 3] of an image of Pillow, as it lies; its `info` loses what is said of transparency.

    ValueError for samples of 32 bit.
    """
    image.info.pop("transparency", None)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):
        band = pixels[top : top + BAND]
        band[:] = _rgb(image.crop((0, top, image.width, top + len(band))), image)
    return pixels


def _rgb(band: Image.Image, image: Image.Image) -> NDArray[np.uint8]:
    """A part of the image, u8 [rows, w, 3], or [rows, w, 1] for deep greys."""
    if band.mode.startswith("I;16"):
        tags = getattr(image, "tag_v2", {})
        bits: int = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
        levels: NDArray[np.uint8] = (np.asarray(band).astype(np.uint16) >> (bits - 8)).astype(np.uint8)
        white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == 0
        return (~levels if white_is_zero else levels)[..., None]
    if band.mode in ("I", "F"):
        raise ValueError("32 bit samples")
    if band.mode in ("La", "RGBa"):
        band = band.convert(band.mode.upper())
    return np.asarray(band.convert("RGB"))


def _read_jpeg(encoded: bytes) -> ImageFile:
    segments = list(jpeg_segments(encoded))
    # Zeros, as an unfinished download leaves them, are valid picture data to libjpeg. The thumbnail in the header
    # has an end marker of its own.
    if not segments or encoded.rfind(b"\xff\xd9") < segments[-1].start:
        raise OSError("no end marker follows its picture data")
    kept = [segment for segment in segments if _shapes_the_picture(encoded, segment)]
    if sum(segment.stop - segment.start for segment in kept) + 2 < len(encoded):
        encoded = encoded[:2] + b"".join([encoded[segment] for segment in kept])
    return JpegImageFile(io.BytesIO(encoded))


def jpeg_segments(encoded: bytes) -> Iterator[slice]:
    """The segments of a JPEG's header as libjpeg finds them: stray bytes and wrong lengths lead it to the next marker.

    The last is the picture data with all that follows; without them there is none.
    """
    end = 2
    while (found := JPEG_MARKER.search(encoded, end)) and found.end() + 2 <= len(encoded):
        start, end = found.start(), found.end() + int.from_bytes(encoded[found.end() : found.end() + 2], "big")
        if encoded[start + 1] == 0xDA:
            yield slice(start, len(encoded))
            return
        yield slice(start, end)


def _shapes_the_picture(encoded: bytes, segment: slice) -> bool:
    """Frame, tables, colours and orientation; Pillow refuses pictures for what is wrong in the other segments."""
    too_short = encoded[segment.start + 1] >= 0xE0 and segment.stop - segment.start < 16
    return not too_short and bool(JPEG_PICTURE.match(encoded, segment.start))


def _read_png(encoded: bytes) -> ImageFile:
    return PngImageFile(io.BytesIO(still_png(encoded)))


def still_png(encoded: bytes) -> bytes:
    """The still picture of a PNG and its orientation, without animation, profiles and other texts.

    Some of these make Pillow refuse the picture: texts of a megabyte, checksums and animations that are wrong.
    OSError when the file ends before its last chunk does.
    """
    kept, offset = [encoded[:8]], 8
    while offset + 12 <= len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, offset)
        chunk = encoded[offset : offset + 12 + length]
        offset += 12 + length
        if name in PNG_PICTURE or (chunk[4:64].startswith(PNG_ORIENTATION) and _checksum_fits(chunk)):
            kept.append(chunk)
        if name == b"IEND" and offset <= len(encoded):
            return b"".join(kept)
    raise OSError("the file ends before its last chunk does")


def _checksum_fits(chunk: bytes) -> bool:
    return chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))


def _read_bmp(encoded: bytes) -> ImageFile:
    reader = BmpImageFile if encoded.startswith(b"BM") else DibImageFile
    image = reader(io.BytesIO(encoded))
    if image.tile[0].codec_name == "bmp_rle" and max(image.width * image.height, len(encoded)) > MAX_RLE:
        raise ValueError(f"run lengths for more than {MAX_RLE} pixels")
    return image


def _read_tiff(encoded: bytes) -> ImageFile:
    if encoded.startswith(b"MM\0+"):
        encoded = classic_tiff(encoded)
    tags = _tiff_tags(io.BytesIO(encoded))
    if tags.get(ExifTags.Base.TileWidth, 0) * tags.get(ExifTags.Base.TileLength, 0) > MAX_TILE:
        raise ValueError(f"a tile of more than {MAX_TILE} pixels")
    try:
        return TiffImageFile(io.BytesIO(encoded))
    except SyntaxError as error:
        if _is_deep_grey(tags):
            return _DeepGreyTiff(io.BytesIO(encoded))
        names = ("PhotometricInterpretation", "BitsPerSample", "ExtraSamples", "Compression")
        kind = ", ".join(f"{name} {tags.get(ExifTags.Base[name])}" for name in names)
        raise ValueError(f"{error}: {kind}") from None


def _tiff_tags(file: IO[bytes]) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Of the first directory."""
    header = file.read(16)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header if header.startswith(b"II+") else header[:8])
    file.seek(tags.next)
    tags.load(file)
    return tags


def _is_deep_grey(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Greys of 16 bit, with alpha or with white as 0, that OpenCV reads; it takes tiles for strips, and
    leaves greys multiplied with alpha as they are.
    """
    return (
        tags.get(ExifTags.Base.PhotometricInterpretation) in (0, 1)
        and tags.get(ExifTags.Base.BitsPerSample, ())[:1] == (16,)
        and tags.get(ExifTags.Base.ExtraSamples, (0,)) in ((0,), (2,))
        and ExifTags.Base.TileWidth not in tags
    )


class _DeepGreyTiff(ImageFile):
    """A TIFF that OpenCV reads and Pillow does not: see `_is_deep_grey`."""

    def _open(self) -> None:
        assert self.fp is not None
        tags = _tiff_tags(self.fp)
        self._mode, self._size = "RGB", (tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength])


def classic_tiff(encoded: bytes) -> bytes:
    """A big-endian BigTIFF as a TIFF: its first directory, with 32 bit offsets, is put behind the file.

    Pillow reads BigTIFF in little-endian order only.
    """
    (directory,) = struct.unpack_from(">Q", encoded, 8)
    (count,) = struct.unpack_from(">Q", encoded, directory)
    data, entries = bytearray(encoded), []
    for offset in range(directory + 8, directory + 8 + 20 * count, 20):
        tag, kind, n, value = struct.unpack_from(">HHQ8s", encoded, offset)
        size = n * BIGTIFF_SIZES.get(kind, 1)
        at = offset + 12 if size <= 8 else int.from_bytes(value, "big")
        values = encoded[at : at + size]
        if kind == 16:
            kind, values = 4, struct.pack(f">{n}I", *struct.unpack(f">{n}Q", values))
        entries.append((tag, kind, n, values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(">I", len(data))))
        if len(values) > 4:
            data += values
    data[:8] = b"MM\0*" + struct.pack(">I", len(data))
    data += struct.pack(">H", count) + b"".join(struct.pack(">HHI4s", *entry) for entry in entries) + bytes(4)
    return bytes(data)


def _reader(reader: Callable[[Any], ImageFile]) -> Callable[[bytes], ImageFile]:
    return lambda encoded: reader(io.BytesIO(encoded))


READERS: dict[str, Callable[[bytes], ImageFile]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WebP": _reader(WebPImageFile),
    "BMP": _read_bmp,
    "TIFF": _read_tiff,
    "GIF": _reader(GifImageFile),
    "AVIF": _reader(AvifImageFile),
    "HEIC": _reader(HeifImageFile),
    "JPEG 2000": _reader(Jpeg2KImageFile),
}
