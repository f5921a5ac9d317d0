"""Pictures from a visitor: measured by their headers, decoded, made small, and encoded anew before anybody sees them."""

import struct
from typing import Any, Final

BYTES_LIMIT: Final = 10 * 1024 * 1024
PIXELS_LIMIT: Final = 25_000_000
"""A header that claims more is refused before a byte of the picture is decoded."""

SMALLEST_PX: Final = 40
LONGEST_SIDE_PX: Final = 1_280
_QUALITY: Final = 92

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that carry the size (ITU-T T.81, table B.1)."""

_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})


class PictureRefused(Exception):  # noqa: N818 (an answer to the visitor)
    """What was sent cannot be used; the code is translated on the page."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def size_px(raw: bytes) -> tuple[int, int]:
    """Width and height as the header of a JPEG or PNG claims.

    Raises:
        PictureRefused: ``not_a_picture``.
    """
    try:
        if raw.startswith(_PNG) and raw[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", raw, 16)
            return width, height
        if raw.startswith(_JPEG):
            return _jpeg_size_px(raw)
    except struct.error:
        pass
    raise PictureRefused("not_a_picture")


def _jpeg_size_px(raw: bytes) -> tuple[int, int]:
    at = 2
    while True:
        fill, marker = struct.unpack_from(">BB", raw, at)
        if fill != 0xFF:  # noqa: PLR2004 (every marker starts so)
            raise PictureRefused("not_a_picture")
        if marker == 0xFF:  # noqa: PLR2004 (fill byte)
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        elif marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", raw, at + 5)
            return width, height
        else:
            at += 2 + int(struct.unpack_from(">H", raw, at + 2)[0])


def clean(raw: bytes) -> bytes:
    """A JPEG made anew from what the visitor sent: nothing but pixels survives.

    Raises:
        PictureRefused: ``too_many_bytes``, ``not_a_picture``, ``too_many_pixels`` or ``too_small``.
    """
    import cv2  # noqa: PLC0415 (half a second, and only who uploads needs it)
    import numpy as np  # noqa: PLC0415

    if len(raw) > BYTES_LIMIT:
        raise PictureRefused("too_many_bytes")
    width, height = size_px(raw)
    if width * height > PIXELS_LIMIT:
        raise PictureRefused("too_many_pixels")
    try:
        picture: Any = cv2.imdecode(np.frombuffer(raw, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise PictureRefused("not_a_picture")
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST_PX:
        raise PictureRefused("too_small")
    scale = LONGEST_SIDE_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(encoded.tobytes())
