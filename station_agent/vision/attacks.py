"""Synthetic presentation attacks: a photograph as paper or a screen held before a door's camera would show it.

For measurement and tests only; no running station uses it. What it leaves out makes an attack easier to see or harder,
nobody knows which: real inks, real panels, fingers, and the camera's own sharpening. Figures from it are synthetic and
are called so (docs/liveness.md).

A ``Sheet`` is made once per attack, ``show`` renders it in any pose, and ``live`` renders the same photograph as the
person themselves. All three end in the same capture, so that nothing tells them apart but what was held up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.vision.frame import Pixels

WIDTH_PX: Final = 640
HEIGHT_PX: Final = 480
"""Size of the rendered frames."""

FACE_PX: Final = (120.0, 250.0)
"""Least and largest width of the face in a frame."""

_FOCAL_PX: Final = 700.0
"""A camera of 49 degrees across."""

_DISTANCE: Final = 4.0
"""Of a sheet from the camera, in face widths, before its scale is applied: a face of 15 cm at 60 cm."""

_PAPER: Final = (232, 238, 240)
_BEZEL: Final = (18, 17, 17)
_GAMUT: Final = (28.0, 222.0)
"""Darkest and lightest grey a print reaches."""

_HALFTONE_PX: Final = 3.0
_SUBPIXELS: Final = 3

Box = tuple[float, float, float, float]
"""Left, top, width and height of a face, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A flat thing with a face on it.

    Attributes:
        pixels: shape (H, W, 4), uint8, BGR and opacity.
        centre: of the face, x and y in its pixels.
        face_px: width of the face in its pixels.
        glare: strength of the reflection on it, 0 to 1.
        sharp: sampled without averaging, as a camera samples a panel's grid: this is where moire comes from.
    """

    pixels: NDArray[np.uint8]
    centre: tuple[float, float]
    face_px: float
    glare: float = 0.0
    sharp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How a sheet is held.

    Attributes:
        face_px: width of the face in the frame, held straight.
        at: where its centre is, as shares of the frame's width and height.
        yaw_deg: turned about the vertical axis.
        pitch_deg: tipped about the horizontal axis.
        roll_deg: turned in its plane.
        bend: half the angle, in radians, that the face's width covers on the cylinder the sheet is bent around.
    """

    face_px: float
    at: tuple[float, float] = (0.5, 0.5)
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    bend: float = 0.0


def some_pose(rng: np.random.Generator, *, bend: float = 0.0) -> Pose:
    """A sheet held as a person would: nearly straight, not quite still."""
    return Pose(
        face_px=float(rng.uniform(*FACE_PX)),
        at=(float(rng.uniform(0.42, 0.58)), float(rng.uniform(0.45, 0.58))),
        yaw_deg=float(rng.normal(0, 8)),
        pitch_deg=float(rng.normal(0, 6)),
        roll_deg=float(rng.normal(0, 5)),
        bend=bend,
    )


def print_sheet(picture: Pixels, box: Box, rng: np.random.Generator) -> Sheet:
    """A colour print on white paper with a border: less contrast, a dot screen, the paper's grain."""
    large, box = _enlarged(picture, box, to_face_px=300)
    inked = _GAMUT[0] + large.astype(np.float32) * ((_GAMUT[1] - _GAMUT[0]) / 255)
    rows, columns = np.indices(large.shape[:2], dtype=np.float32)
    angle = np.float32(np.deg2rad(rng.uniform(15, 75)))
    across = (columns * np.cos(angle) + rows * np.sin(angle)) * np.float32(2 * np.pi / _HALFTONE_PX)
    along = (rows * np.cos(angle) - columns * np.sin(angle)) * np.float32(2 * np.pi / _HALFTONE_PX)
    inked += (np.sin(across) * np.sin(along) * rng.uniform(6, 16))[:, :, None]
    inked += rng.normal(0, 3, inked.shape[:2])[:, :, None]
    border = round(float(rng.uniform(0.1, 0.5)) * box[2])
    paper = cv2.copyMakeBorder(
        _bytes(inked), border, border, border, border, cv2.BORDER_CONSTANT, value=_PAPER
    )
    return _sheet(_bytes(paper), _moved(box, border), glare=float(rng.uniform(0, 0.15)))


def cut_out_sheet(picture: Pixels, box: Box, rng: np.random.Generator) -> Sheet:
    """The print cut along the head, with a narrow white rim where the scissors slipped."""
    printed = print_sheet(picture, box, rng)
    x, y = printed.centre
    radii = (
        round(printed.face_px * rng.uniform(0.70, 0.85)),
        round(printed.face_px * rng.uniform(0.95, 1.15)),
    )
    rim = max(2, round(printed.face_px * 0.02))
    pixels = printed.pixels.copy()
    inner = cv2.ellipse(
        np.zeros(pixels.shape[:2], np.uint8), (round(x), round(y)), radii, 0, 0, 360, 255, cv2.FILLED
    )
    outer = cv2.dilate(inner, np.ones((rim, rim), np.uint8))
    pixels[(outer > 0) & (inner == 0), :3] = _PAPER
    pixels[:, :, 3] = outer
    return Sheet(pixels, printed.centre, printed.face_px)


def phone_sheet(picture: Pixels, box: Box, rng: np.random.Generator) -> Sheet:
    """A phone: the face nearly fills a narrow screen."""
    return _screen(picture, box, rng, grid_face_px=150, shown=(1.5, 2.6), glare=0.5)


def tablet_sheet(picture: Pixels, box: Box, rng: np.random.Generator) -> Sheet:
    """A tablet: a wide screen with more around the face."""
    return _screen(picture, box, rng, grid_face_px=220, shown=(2.6, 2.6), glare=0.8)


SPECIES: Final[Mapping[str, Callable[[Pixels, Box, np.random.Generator], Sheet]]] = {
    "print": print_sheet,
    "bent_print": print_sheet,
    "cut_out": cut_out_sheet,
    "phone": phone_sheet,
    "tablet": tablet_sheet,
}
"""By the names reports use; all are synthetic. ``bent_print`` is the print in a pose with a bend."""


def live(picture: Pixels, box: Box, rng: np.random.Generator) -> Pixels:
    """The person themselves: the photograph fills the frame, so that it has no border. Shape (480, 640, 3), BGR."""
    height, width = picture.shape[:2]
    fills = max(WIDTH_PX / width, HEIGHT_PX / height)
    scale = max(fills, float(rng.uniform(*FACE_PX)) / box[2])
    wanted = np.array([WIDTH_PX * rng.uniform(0.42, 0.58), HEIGHT_PX * rng.uniform(0.45, 0.58)])
    corner = wanted - scale * np.array([box[0] + box[2] / 2, box[1] + box[3] / 2])
    corner = np.clip(corner, [WIDTH_PX - scale * width, HEIGHT_PX - scale * height], 0)
    place = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    return _captured(cv2.warpAffine(picture, place, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_CUBIC), rng)


def room(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """What is behind a sheet: some photograph, far out of focus. Shape (480, 640, 3), BGR."""
    behind = cv2.resize(picture, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(behind, (0, 0), float(rng.uniform(9, 16))), dtype=np.uint8)


def show(sheet: Sheet, pose: Pose, behind: Pixels, rng: np.random.Generator) -> Pixels:
    """A frame of a sheet held in front of a room. Shape (480, 640, 3), BGR."""
    bent = _bent(sheet, pose.bend) if pose.bend else sheet
    place = _projection(bent, pose)
    how = cv2.INTER_LINEAR if bent.sharp else cv2.INTER_AREA
    source = bent.pixels
    if not bent.sharp and (ratio := pose.face_px / bent.face_px) < 0.7:  # noqa: PLR2004 (bilinear is enough above)
        source = np.asarray(cv2.resize(source, None, fx=ratio, fy=ratio, interpolation=how), dtype=np.uint8)
        place = place @ np.diag(
            [bent.pixels.shape[1] / source.shape[1], bent.pixels.shape[0] / source.shape[0], 1]
        )
    seen = cv2.warpPerspective(source, place, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR).astype(
        np.float32
    )
    opacity = seen[:, :, 3:] / 255
    lit = seen[:, :, :3] + _reflection(sheet.glare, rng)
    return _captured(_bytes(lit * opacity + behind * (1 - opacity)), rng)


def _screen(
    picture: Pixels,
    box: Box,
    rng: np.random.Generator,
    *,
    grid_face_px: int,
    shown: tuple[float, float],
    glare: float,
) -> Sheet:
    """A panel: a cutting of the picture in its own pixels, each three stripes of one colour, within a dark bezel."""
    cut, box = _cutting(picture, box, shown)
    image, box = _enlarged(cut, box, to_face_px=grid_face_px)
    glowing = 255 * (image.astype(np.float32) / 255) ** float(rng.uniform(0.8, 1.3)) * rng.uniform(0.85, 1.1)
    fine = np.repeat(np.repeat(_bytes(glowing), _SUBPIXELS, axis=0), _SUBPIXELS, axis=1).astype(np.float32)
    depth = float(rng.uniform(0.15, 0.5))  # how dark the gaps are: the camera's lens blurs most of them
    stripes = np.full((_SUBPIXELS, 3), 1 - depth, dtype=np.float32)
    stripes[np.arange(3), [2, 1, 0]] = 1 + depth
    fine *= np.tile(stripes, (image.shape[1], 1))[None]
    fine[_SUBPIXELS - 1 :: _SUBPIXELS] *= 1 - depth / 2
    bezel = round(float(rng.uniform(0.06, 0.2)) * box[2] * _SUBPIXELS)
    framed = cv2.copyMakeBorder(_bytes(fine), bezel, bezel, bezel, bezel, cv2.BORDER_CONSTANT, value=_BEZEL)
    large = (box[0] * _SUBPIXELS, box[1] * _SUBPIXELS, box[2] * _SUBPIXELS, box[3] * _SUBPIXELS)
    return _sheet(_bytes(framed), _moved(large, bezel), glare=glare * float(rng.uniform(0.2, 1)), sharp=True)


def _cutting(picture: Pixels, box: Box, shown: tuple[float, float]) -> tuple[Pixels, Box]:
    """The part of a picture around its face, at most so many face widths wide and high."""
    height, width = picture.shape[:2]
    middle = (box[0] + box[2] / 2, box[1] + box[3] / 2)
    half = (shown[0] * box[2] / 2, shown[1] * box[2] / 2)
    left, top = max(0, int(middle[0] - half[0])), max(0, int(middle[1] - half[1]))
    right, bottom = min(width, int(middle[0] + half[0])), min(height, int(middle[1] + half[1]))
    return picture[top:bottom, left:right], (box[0] - left, box[1] - top, box[2], box[3])


def _enlarged(picture: Pixels, box: Box, *, to_face_px: int) -> tuple[Pixels, Box]:
    ratio = to_face_px / box[2]
    how = cv2.INTER_CUBIC if ratio > 1 else cv2.INTER_AREA
    larger = cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=how)
    left, top, width, height = (value * ratio for value in box)
    return np.asarray(larger, dtype=np.uint8), (left, top, width, height)


def _sheet(pixels: NDArray[np.uint8], box: Box, *, glare: float, sharp: bool = False) -> Sheet:
    opaque = np.full((*pixels.shape[:2], 1), 255, dtype=np.uint8)
    centre = (box[0] + box[2] / 2, box[1] + box[3] / 2)
    return Sheet(np.concatenate([pixels, opaque], axis=2), centre, box[2], glare, sharp)


def _moved(box: Box, by_px: float) -> Box:
    return (box[0] + by_px, box[1] + by_px, box[2], box[3])


def _bent(sheet: Sheet, bend: float) -> Sheet:
    """Bend around a vertical axis through the face: columns draw together away from it, and recede."""
    height, width = sheet.pixels.shape[:2]
    radius = sheet.face_px / 2 / bend
    reach = radius * np.sin(min(1.2, max(sheet.centre[0], width - sheet.centre[0]) / radius))
    across = np.arange(-reach, reach, dtype=np.float32)
    angle = np.arcsin(np.clip(across / radius, -1, 1))
    away = radius * (1 - np.cos(angle)) / (sheet.face_px * _DISTANCE)
    rows = np.arange(height, dtype=np.float32)[:, None]
    from_x = np.broadcast_to(sheet.centre[0] + radius * angle, (height, len(across)))
    from_y = sheet.centre[1] + (rows - sheet.centre[1]) * (1 + away)[None]
    bent = cv2.remap(
        sheet.pixels,
        from_x.astype(np.float32),
        from_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderValue=(0, 0, 0, 0),
    )
    return Sheet(
        np.asarray(bent, np.uint8), (float(reach), sheet.centre[1]), sheet.face_px, sheet.glare, sheet.sharp
    )


def _projection(sheet: Sheet, pose: Pose) -> NDArray[np.float64]:
    """Sheet pixels to frame pixels: a plane turned about the face's centre before a pinhole camera."""
    yaw, pitch, roll = np.deg2rad([pose.yaw_deg, pose.pitch_deg, pose.roll_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    turned = about_z @ about_x @ about_y
    distance = _FOCAL_PX * sheet.face_px / pose.face_px
    onto = np.column_stack([turned[:, 0], turned[:, 1], [0.0, 0.0, distance]])
    centred = np.array([[1, 0, -sheet.centre[0]], [0, 1, -sheet.centre[1]], [0, 0, 1]])
    middle = (WIDTH_PX * pose.at[0], HEIGHT_PX * pose.at[1])
    camera = np.array([[_FOCAL_PX, 0, middle[0]], [0, _FOCAL_PX, middle[1]], [0, 0, 1]])
    return np.asarray(camera @ onto @ centred, dtype=np.float64)


def _reflection(strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A lamp or a window in the glass: one soft bright patch."""
    patch = np.zeros((HEIGHT_PX // 4, WIDTH_PX // 4), dtype=np.float32)
    if strength:
        centre = (int(rng.uniform(0.25, 0.75) * patch.shape[1]), int(rng.uniform(0.1, 0.7) * patch.shape[0]))
        axes = (int(rng.uniform(3, 16)), int(rng.uniform(3, 16)))
        cv2.ellipse(patch, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255 * strength, cv2.FILLED)
        patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), float(rng.uniform(1, 4))), dtype=np.float32)
    return np.asarray(cv2.resize(patch, (WIDTH_PX, HEIGHT_PX)), dtype=np.float32)[:, :, None]


def _captured(frame: NDArray[Any], rng: np.random.Generator) -> Pixels:
    """What lens and sensor do to every frame: a little blur, exposure, noise."""
    soft = cv2.GaussianBlur(frame, (0, 0), float(rng.uniform(0.4, 0.9))).astype(np.float32)
    noise = rng.standard_normal(soft.shape, dtype=np.float32) * np.float32(rng.uniform(1.5, 3))
    return _bytes(soft * np.float32(rng.uniform(0.8, 1.15)) + np.float32(rng.uniform(-8, 8)) + noise)


def _bytes(values: NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
