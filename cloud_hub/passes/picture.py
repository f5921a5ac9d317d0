"""The QR code of a pass as a picture: black on white with its quiet zone, whatever the page's colours are."""

from typing import Final

import segno
from markupsafe import Markup

_QUIET_MODULES: Final = 4
"""The zone ISO/IEC 18004 asks for; readers fail without it in dark mode."""

_PNG_SCALE: Final = 8
"""Pixels a module: about 450 pixels for a common pass, sharp on any phone."""


def svg(text: str) -> Markup:
    """For a page, as wide as its place."""
    drawn = _code(text).svg_inline(
        border=_QUIET_MODULES, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
    )
    return Markup(drawn)  # noqa: S704 (drawn by segno from modules; no text of anybody is in it)


def png_address(text: str) -> str:
    """For a download: a ``data:`` address, so that the server keeps no copy."""
    address: str = _code(text).png_data_uri(
        border=_QUIET_MODULES, scale=_PNG_SCALE, dark="#000", light="#fff"
    )
    return address


def _code(text: str) -> segno.QRCode:
    """Error correction M as ADR 0014 measured it; not raised where there is room, which would change no module's size."""
    return segno.make_qr(text, error="m", boost_error=False)
