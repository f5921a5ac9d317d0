"""Passes held before the camera are read, once; anything else is nobody's business."""

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.passes import LONGEST, Pass, issue, short_key_id
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.qr import PERIOD_S, REPEAT_S, QrReader
from tests.support.qr_scene import View, held_up, version

SEED = 20_260_501
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
EASY = View(module_px=5, tilt=0.05, turn_deg=3)


def a_pass(*, holder: str = "p-3f9c2d81", station: str = "st-demo0001") -> str:
    return issue(
        Pass(
            v=1,
            id=bytes(range(8)),
            kid=short_key_id(KEY.public_key()),
            holder=holder,
            scope=[station],
            not_before=1_780_000_000,
            not_after=1_780_086_400,
            uses=1,
        ),
        KEY,
    )


def picture(text: str, view: View = EASY, *, seed: int = SEED, wide: bool = False) -> Pixels:
    rng = np.random.default_rng(seed)
    return held_up(text, view, rng, width_px=1280, height_px=720) if wide else held_up(text, view, rng)


def read(*pixels: Pixels, reader: QrReader | None = None, step_s: float = PERIOD_S) -> list[str | None]:
    reader = reader or QrReader()
    return [
        reader.read(Frame(shown, number * step_s, number)) for number, shown in enumerate(pixels, start=1)
    ]


def test_a_common_pass_is_a_small_code() -> None:
    assert version(a_pass()) <= 8


def test_the_longest_pass_fits_version_12() -> None:
    longest = a_pass(holder="p" * 64, station="st-" + "a" * 32)
    assert len(longest) <= LONGEST
    assert version(longest) <= 12


@pytest.mark.parametrize("wide", [False, True], ids=["640x480", "1280x720"])
@pytest.mark.parametrize("module_px", [3.0, 5.0, 7.0])
def test_a_pass_is_read_near_and_far(module_px: float, *, wide: bool) -> None:
    text = a_pass()
    view = View(module_px=module_px)
    read_back = [read(picture(text, view, seed=SEED + n, wide=wide)) for n in range(8)]
    assert sum(texts == [text] for texts in read_back) >= 7


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(View(module_px=5, turn_deg=180), id="upside down"),
        pytest.param(View(module_px=5, light=0.25, noise=6), id="at night"),
        pytest.param(View(module_px=5, blur_px=1.5), id="out of focus"),
        pytest.param(View(module_px=5, tilt=0.3), id="held askew"),
    ],
)
def test_a_pass_is_read_as_people_hold_it(view: View) -> None:
    text = a_pass()
    assert sum(read(picture(text, view, seed=SEED + n)) == [text] for n in range(8)) >= 6


def test_a_pass_in_view_is_told_once() -> None:
    shown = picture(a_pass())
    assert [text is not None for text in read(*[shown] * 8)] == [True, *[False] * 7]


def test_the_same_pass_is_told_again_after_a_while_out_of_view() -> None:
    text = a_pass()
    shown, reader = picture(text), QrReader()
    assert reader.read(Frame(shown, 1.0, 1)) == text
    assert reader.read(Frame(shown, 1.0 + REPEAT_S, 2)) == text


def test_another_pass_is_told_at_once() -> None:
    first, second = a_pass(), a_pass(holder="p-another1")
    assert read(picture(first), picture(second)) == [first, second]


def test_no_more_frames_are_looked_at_than_time_allows() -> None:
    text = a_pass()
    nothing = np.full((480, 640, 3), 90, np.uint8)
    assert read(nothing, picture(text), reader=QrReader(), step_s=PERIOD_S / 3) == [None, None]


def test_a_frame_without_a_time_is_not_looked_at() -> None:
    assert QrReader().read(Frame(picture(a_pass()), float("nan"), 1)) is None


@pytest.mark.parametrize("text", ["HTTPS://PAY.EXAMPLE/123", "YZ1", "YZ1:" + "0" * LONGEST])
def test_other_codes_never_leave_the_reader(text: str) -> None:
    assert read(picture(text, View(module_px=4, tilt=0.02, turn_deg=0))) == [None]


def test_noise_and_torn_codes_are_nothing() -> None:
    rng = np.random.default_rng(SEED)
    noise = rng.integers(0, 255, (480, 640, 3), np.uint8)
    torn = picture(a_pass())
    torn[:, 300:] = 0
    cut_off = picture(a_pass())[180:300]
    tiny = np.zeros((4, 4, 3), np.uint8)
    assert read(noise, torn, cut_off, tiny) == [None] * 4


def test_an_error_of_the_library_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = QrReader()

    class Broken:
        def detect(self, _: object) -> None:
            raise cv2.error("torn")

    monkeypatch.setattr(reader, "_detector", Broken())
    assert read(picture(a_pass()), reader=reader) == [None]
