import struct

import cv2
import numpy as np
import pytest

from cloud_hub.demo.faces import find_faces
from cloud_hub.demo.stage.pictures import BYTES_LIMIT, LONGEST_SIDE_PX, PictureRefused, clean, size_px


def encoded(width: int, height: int, extension: str = ".jpg") -> bytes:
    shade = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3) % 251
    return bytes(cv2.imencode(extension, shade.astype(np.uint8))[1].tobytes())


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_the_size_is_read_from_the_header(extension: str) -> None:
    assert size_px(encoded(123, 77, extension)) == (123, 77)


def test_the_demo_faces_are_pictures_of_known_size() -> None:
    faces = find_faces()
    assert size_px(faces.worker.read_bytes()) == (512, 512)
    assert size_px(faces.stranger.read_bytes()) == (512, 600)


def test_a_picture_is_made_small_and_encoded_anew() -> None:
    hidden = b"<script>alert(1)</script>"
    raw = encoded(2000, 1000, ".png") + hidden
    cleaned = clean(raw)
    assert size_px(cleaned) == (LONGEST_SIDE_PX, LONGEST_SIDE_PX // 2)
    assert hidden not in cleaned


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"", "not_a_picture", id="empty"),
        pytest.param(b"<html>", "not_a_picture", id="html"),
        pytest.param(b"GIF89a" + bytes(100), "not_a_picture", id="gif"),
        pytest.param(b"\xff\xd8" + bytes(100), "not_a_picture", id="jpeg-start-only"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x00" * 3, "not_a_picture", id="jpeg-with-empty-segment"),
        pytest.param(encoded(200, 200)[:400], "not_a_picture", id="cut-header"),
        pytest.param(png_header(50, 50) + bytes(50), "not_a_picture", id="png-header-only"),
        pytest.param(png_header(100_000, 100_000), "too_many_pixels", id="bomb"),
        pytest.param(encoded(20, 300), "too_small", id="sliver"),
        pytest.param(bytes(BYTES_LIMIT + 1), "too_many_bytes", id="too-long"),
    ],
)
def test_what_is_no_usable_picture_is_refused_by_its_reason(raw: bytes, code: str) -> None:
    with pytest.raises(PictureRefused) as refused:
        clean(raw)
    assert refused.value.code == code
