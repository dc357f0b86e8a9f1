"""What becomes of an encoded image: every format, turned, deep, transparent, broken, hostile."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from poseserve.in_process import step_module

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # about the damage in these files
images = step_module("decode_image", "images")
reading = step_module("decode_image", "reading")
LIMITS = {"max_pixels": 2**27, "max_side": 32766}
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True, "exact": True}, "BMP": {}, "TIFF": {}}
ENCODINGS = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate tiff": ("TIFF", {"compression": "tiff_deflate"}),
}


def picture(height: int = 48, width: int = 64) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 4, y * 5, (x + y) * 2], -1).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(encoded: bytes) -> np.ndarray:
    return images.decode(encoded, **LIMITS)


def pillow(encoded: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB"))


def worst(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return np.abs(a.astype(float) - b).max()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_keep_every_pixel(kind, mode):
    image = picture().convert(mode)
    decoded = decode(encode(image, kind, **LOSSLESS[kind]))
    assert decoded.flags.c_contiguous
    assert decoded.dtype == np.uint8
    assert worst(decoded, np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpegs_look_as_pillow_shows_them(mode, options):
    encoded = encode(picture().convert(mode), "JPEG", quality=95, **options)
    assert worst(decode(encoded), pillow(encoded)) <= 3


@pytest.mark.parametrize("transform", [0, 2])
def test_inverted_cmyk_and_ycck_jpegs_look_as_pillow_shows_them(transform):
    encoded = bytearray(encode(picture().convert("CMYK"), "JPEG", quality=95))
    encoded[encoded.index(b"Adobe") + 11] = transform
    assert worst(decode(bytes(encoded)), pillow(bytes(encoded))) <= 3


def test_cmyk_jpeg_without_adobe_marker_looks_as_pillow_shows_it():
    encoded = encode(picture().convert("CMYK"), "JPEG", quality=95)
    marker = encoded.index(b"Adobe") - 4
    (length,) = struct.unpack_from(">H", encoded, marker + 2)
    plain = encoded[:marker] + encoded[marker + 2 + length :]
    assert worst(decode(plain), pillow(plain)) <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
    ],
)
def test_exif_orientation_is_applied(kind, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(picture(), kind, exif=exif, **options)
    decoded = decode(encoded)
    assert decoded.flags.c_contiguous
    assert worst(decoded, pillow(encoded)) <= 1


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(20)])
def test_damaged_exif_of_a_webp_means_upright(exif):
    image = picture()
    assert worst(decode(encode(image, "WEBP", lossless=True, exif=exif)), np.asarray(image)) == 0


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_become_eight(suffix, channels):
    deep = np.linspace(0, 65535, 40 * 30 * channels).reshape(40, 30, channels).astype(np.uint16)
    decoded = decode(cv2.imencode(suffix, deep[..., ::-1])[1].tobytes())
    assert worst(decoded, np.broadcast_to(deep / 257, (40, 30, 3))) < 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_alpha_is_dropped_and_colour_stays(kind):
    decoded = decode(encode(Image.new("RGBA", (20, 10), (200, 100, 50, 0)), kind, **LOSSLESS[kind]))
    assert (decoded == [200, 100, 50]).all()


def test_a_palette_with_transparent_colours_keeps_them():
    image = picture().convert("P")
    encoded = encode(image, "PNG", transparency=bytes(range(256)))
    assert worst(decode(encoded), np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG"])
def test_first_page_or_frame_counts(kind):
    red, green = Image.new("RGB", (20, 10), (255, 0, 0)), Image.new("RGB", (20, 10), (0, 255, 0))
    decoded = decode(encode(red, kind, save_all=True, append_images=[green], **LOSSLESS[kind]))
    assert (decoded == [255, 0, 0]).all()


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_file_that_ends_early_is_refused(name):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    kind, options = ENCODINGS[name]
    encoded = encode(Image.fromarray(noise), kind, **options)
    assert decode(encoded).shape == (60, 80, 3)
    for cut in (20, len(encoded) // 10, len(encoded) // 2, len(encoded) * 9 // 10, -100, -12, -3, -2, -1):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(encoded[:cut])


def with_thumbnail(encoded: bytes) -> bytes:
    exif = b"Exif\0\0" + encode(picture(16, 16), "JPEG")
    return encoded[:2] + b"\xff\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + encoded[2:]


@pytest.mark.parametrize("prepare", [bytes, with_thumbnail])
def test_a_jpeg_whose_end_was_never_written_is_refused(prepare):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    encoded = prepare(encode(Image.fromarray(noise), "JPEG"))
    assert decode(encoded + b"\xff\xdatrailing").shape == (60, 80, 3)
    for missing in (2, 40, 2000):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(encoded[:-missing])
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(encoded[:-missing] + bytes(missing))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_broken_files_leave_no_trace_on_stderr(kind, capfd):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    encoded = bytearray(encode(Image.fromarray(noise), kind))
    middle = len(encoded) // 2
    encoded[middle : middle + 20] = encoded[10:30]
    try:
        decode(bytes(encoded))
    except ValueError:
        assert kind == "PNG"  # whose checksums show the damage; a JPEG has none
    os.write(2, b"alive")
    assert capfd.readouterr().err == "alive"


@pytest.mark.parametrize(
    ("encoded", "received"),
    [
        (b"", "0 bytes;"),
        (b"hello world", "11 bytes, starting with b'hello world'"),
        (b"%PDF-1.7" + bytes(50), "58 bytes, starting with b'%PDF-1.7"),
        (b"\0\0\0\x18ftypisom" + bytes(50), "62 bytes, starting with"),
        (np.random.default_rng(0).bytes(10_000_000), "10000000 bytes"),
    ],
)
def test_what_is_no_image_is_named(encoded, received):
    with pytest.raises(
        ValueError, match="accepted is one JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIC or JPEG 2000 image"
    ) as refusal:
        decode(encoded)
    assert received in str(refusal.value)


def test_tiff_of_32_bit_samples_is_refused():
    encoded = encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    with pytest.raises(ValueError, match="32 bit samples"):
        decode(encoded)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    encoded = encode(picture(), "JPEG")
    size = encoded.index(b"\xff\xc0") + 5
    return encoded[:size] + struct.pack(">HH", height, width) + encoded[size + 4 :]


def bmp(width: int, height: int) -> bytes:
    encoded = encode(picture(), "BMP")
    return encoded[:18] + struct.pack("<ii", width, height) + encoded[26:]


def webp(width: int, height: int) -> bytes:
    data = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(21)
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(width: int, height: int) -> bytes:
    encoded = bytearray(encode(picture(), "TIFF"))
    (directory,) = struct.unpack_from("<I", encoded, 4)
    (entries,) = struct.unpack_from("<H", encoded, directory)
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        (tag,) = struct.unpack_from("<H", encoded, entry)
        if tag in (256, 257):
            struct.pack_into("<HII", encoded, entry + 2, 4, 1, width if tag == 256 else height)
    return bytes(encoded)


def gif(width: int, height: int) -> bytes:
    encoded = encode(picture(), "GIF")
    return encoded[:6] + struct.pack("<HH", width, height) + encoded[10:]


def jpeg_2000(width: int, height: int) -> bytes:
    encoded = encode(picture(), "JPEG2000", no_jp2=True)
    size = encoded.index(b"\xff\x51") + 6
    return encoded[:size] + struct.pack(">II", width, height) + encoded[size + 8 :]


def avif(width: int, height: int) -> bytes:
    encoded = encode(picture(), "AVIF")
    size = encoded.index(b"ispe") + 8
    return encoded[:size] + struct.pack(">II", width, height) + encoded[size + 8 :]


def run_lengths(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + header + bytes(1024) + data


def refusal_elsewhere(encoded: bytes, folder: Path) -> tuple[str, int]:
    """The refusal and the KiB it took, in a process of its own: OpenCV reads its limits when it is loaded."""
    (folder / "bomb").write_bytes(encoded)
    code = (
        "import images, pathlib\n"
        # Not getrusage: its maximum begins with that of the parent.
        "def most(): return int(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "before = most()\n"
        f"try: images.decode(pathlib.Path('bomb').read_bytes(), **{LIMITS})\n"
        "except ValueError as error: print(error)\n"
        "print(most() - before)"
    )
    limits = {"PIXELS": 2**27, "WIDTH": 32766, "HEIGHT": 32766}
    environment = {f"OPENCV_IO_MAX_IMAGE_{name}": str(value) for name, value in limits.items()}
    environment["PYTHONPATH"] = str(Path(images.__file__).parent)
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    message, kibibytes = answer.stdout.splitlines()
    return message, int(kibibytes)


@pytest.mark.parametrize(
    "bomb",
    [
        png(50000, 50000),
        png(32767, 1),
        png(20000, 20000),
        jpeg(50000, 50000),
        bmp(50000, 50000),
        bmp(50000, -50000),
        webp(16383, 16383),
        tiff(50000, 50000),
        gif(50000, 50000),
        jpeg_2000(50000, 50000),
        avif(16000, 16000),
    ],
    ids=["png", "png side", "png pixels", "jpeg", "bmp", "bmp top down", "webp", "tiff", "gif", "jpeg 2000", "avif"],
)
def test_small_file_that_declares_a_huge_picture_is_refused_unallocated(bomb, tmp_path):
    message, kibibytes = refusal_elsewhere(bomb, tmp_path)
    assert "at most 134217728 pixels and no side above 32766" in message
    assert kibibytes < 20_000


def test_chunk_that_declares_more_than_the_file_is_refused_unallocated(tmp_path):
    encoded = png(8, 8)
    message, kibibytes = refusal_elsewhere(encoded[:8] + b"\xff" + encoded[9:], tmp_path)
    assert "cannot be decoded" in message
    assert kibibytes < 20_000


def test_picture_that_takes_minutes_is_refused(tmp_path):
    message, kibibytes = refusal_elsewhere(run_lengths(4096, 32766, b"\1\1\0\0" * 32766), tmp_path)
    assert "run lengths for more than 8388608 pixels" in message
    assert kibibytes < 20_000


@pytest.mark.parametrize(
    ("name", "declared"), [(b"zTXt", b"Raw profile type exif\0\0"), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0")]
)
def test_text_that_expands_is_refused_unallocated(name, declared, tmp_path):
    encoded = png(8, 8)
    bomb = chunk(name, declared + zlib.compress(bytes(200_000_000), 9))
    message, kibibytes = refusal_elsewhere(encoded[:33] + bomb + encoded[33:], tmp_path)
    assert "cannot be decoded" in message
    assert kibibytes < 20_000


def test_padding_and_segments_without_end_take_no_time():
    encoded = encode(picture(), "JPEG")
    for filler in (b"\xff" * 20_000_000, b"\xff\xfe\0\2" * 200_000):
        start = time.process_time()
        assert worst(decode(encoded[:2] + filler + encoded[2:]), pillow(encoded)) <= 3
        assert time.process_time() - start < 2


@pytest.mark.parametrize("kind", [4, 16])
def test_tiff_with_a_huge_tile_is_refused_unallocated(kind, tmp_path):
    numbers = {256: 100, 257: 100, 258: 8, 259: 1, 262: 1, 277: 1, 323: 240, 324: 200, 325: 64}
    entries = [(tag, 4, 1, value) for tag, value in numbers.items()] + [(322, kind, 1, 2**20)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    encoded = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(300)
    message, kibibytes = refusal_elsewhere(encoded, tmp_path)
    assert "cannot be decoded" in message
    assert kibibytes < 20_000


def test_tiles_are_read():
    pixels = np.asarray(picture(64, 64))
    numbers = {
        256: 64,
        257: 64,
        258: 8,
        259: 1,
        262: 2,
        277: 3,
        284: 1,
        322: 64,
        323: 64,
        324: 400,
        325: pixels.size,
    }
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items())
    tiled = (b"II*\0" + struct.pack("<IH", 8, len(numbers)) + directory + bytes(4)).ljust(400, b"\0")
    assert worst(decode(tiled + pixels.tobytes()), pixels) == 0


def test_animation_chunks_never_reach_the_decoder():
    image = picture()
    encoded = encode(image, "PNG")
    hostile = chunk(b"acTL", b"\0\x7f\2\0" + bytes(4)) + chunk(b"fdAT", bytes(3))
    assert worst(decode(encoded[:33] + hostile + encoded[33:]), np.asarray(image)) == 0
    assert b"acTL" not in reading.still_png(encoded[:33] + hostile + encoded[33:])


@pytest.mark.parametrize(
    ("height", "width", "scaled"),
    [
        (1080, 1920, (360, 640)),
        (1920, 1080, (640, 360)),
        (640, 640, (640, 640)),
        (333, 501, (425, 640)),
        (3, 2, (640, 427)),
        (1, 5000, (1, 640)),
        (5000, 1, (640, 1)),
    ],
)
def test_letterbox_fits_the_image_into_the_top_left_corner(height, width, scaled):
    box, scale = images.letterbox(np.full((height, width, 3), 9, np.uint8), 640, 640)
    expected = np.full((640, 640, 3), 114, np.uint8)
    expected[: scaled[0], : scaled[1]] = 9
    np.testing.assert_array_equal(box, expected)
    np.testing.assert_allclose(scale, [scaled[1] / width, scaled[0] / height], rtol=1e-6)
    assert scale.dtype == np.float32


def test_letterbox_keeps_places():
    height, width, x, y = 501, 333, 120.3, 301.8  # of a pixel centre
    rows, columns = np.mgrid[0:height, 0:width]
    blob = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 8**2))
    box, scale = images.letterbox(np.repeat(blob[..., None], 3, 2).round().astype(np.uint8), 640, 640)
    inside = box[:, :425, 0].astype(float)
    rows, columns = np.mgrid[0 : inside.shape[0], 0 : inside.shape[1]]
    found = np.array([(inside * columns).sum(), (inside * rows).sum()]) / inside.sum()
    np.testing.assert_allclose((found + 0.5) / scale, [x + 0.5, y + 0.5], atol=0.05)
