"""Cameras: the newest frame wins, a lost one says so and names itself, and nothing falls back to another."""

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import cv2
import numpy as np
import pytest

from firmware_config.profiles import CameraWiring
from station_agent.vision.camera import Camera, CameraLost, PushedCamera, open_camera
from station_agent.vision.camera_live import LiveCamera
from station_agent.vision.frame import Pixels
from tests.support.hand_clock import HandClock

WAIT_S = 10.0
"""Longest wait for another thread before a test fails."""


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def shade(grey: int) -> Pixels:
    return np.full((48, 64, 3), grey, dtype=np.uint8)


def wiring(**changes: Any) -> CameraWiring:
    return CameraWiring.model_validate(
        {"id": "cam", "kind": "simulated", "door": "main", "fps": 10, **changes}
    )


def grey_of(camera: Camera, timeout_s: float = 0.0) -> int | None:
    frame = camera.read(timeout_s)
    return None if frame is None else round(float(frame.pixels.mean()))


def test_the_newest_pushed_frame_wins_and_is_read_once(clock: HandClock) -> None:
    camera = PushedCamera(clock)
    for grey in (10, 20, 30):
        camera.push(shade(grey))
    assert [grey_of(camera), grey_of(camera)] == [30, None]


def test_a_frame_bears_its_time_and_number_and_is_not_copied(clock: HandClock) -> None:
    camera, pixels = PushedCamera(clock), shade(5)
    camera.push(shade(1))
    clock.advance(2.5)
    camera.push(pixels)
    frame = camera.read(0)
    assert frame is not None
    assert (frame.taken_s, frame.number) == (1002.5, 2)
    assert frame.pixels is pixels


def test_a_waiting_reader_gets_the_frame_another_thread_pushes(clock: HandClock) -> None:
    camera = PushedCamera(clock)
    pusher = threading.Thread(target=camera.push, args=(shade(40),))
    pusher.start()
    assert grey_of(camera, WAIT_S) == 40
    pusher.join()


def test_an_unplugged_camera_is_lost_until_it_is_plugged_in(clock: HandClock) -> None:
    camera = PushedCamera(clock, name="porch")
    camera.push(shade(1))
    camera.unplug()
    camera.push(shade(2))
    for lost in (lambda: camera.read(0), camera.opened):
        with pytest.raises(CameraLost, match="camera porch is unplugged"):
            lost()
    camera.plug_in()
    assert grey_of(camera.opened()) is None
    camera.push(shade(3))
    assert grey_of(camera) == 3


def test_a_simulated_camera_is_a_pushed_one(clock: HandClock) -> None:
    assert isinstance(open_camera(wiring(), clock), PushedCamera)


def test_a_folder_is_replayed_in_order_at_its_rate_over_and_over(tmp_path: Path, clock: HandClock) -> None:
    for name, grey in (("b.png", 20), ("a.png", 10), ("c.JPG", 30)):
        cv2.imwrite(str(tmp_path / name), shade(grey))
    (tmp_path / "notes.txt").write_text("not a picture")
    camera = open_camera(wiring(kind="folder", source=str(tmp_path)), clock)
    greys = []
    for _ in range(5):
        greys.append(grey_of(camera))
        assert grey_of(camera) is None
        clock.advance(0.1)
    assert greys == [10, 20, 30, 10, 20]


def test_a_replay_does_not_rush_to_catch_up(tmp_path: Path, clock: HandClock) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), shade(10))
    camera = open_camera(wiring(kind="folder", source=str(tmp_path)), clock)
    assert grey_of(camera) == 10
    clock.advance(60)
    assert [grey_of(camera) for _ in range(3)] == [10, 10, None]


def test_a_closed_replay_is_lost(tmp_path: Path, clock: HandClock) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), shade(10))
    camera = open_camera(wiring(kind="folder", source=str(tmp_path)), clock)
    camera.close()
    camera.close()
    with pytest.raises(CameraLost, match="closed"):
        camera.read(0)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    camera = open_camera(wiring(kind="folder", source=str(tmp_path)), clock)
    with pytest.raises(CameraLost, match=r"camera cam: .*a\.png is not a picture"):
        camera.read(0)


def test_a_video_is_replayed_over_and_over(tmp_path: Path, clock: HandClock) -> None:
    file = tmp_path / "film.avi"
    film = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for grey in (50, 100, 150):
        film.write(shade(grey))
    film.release()
    camera = open_camera(wiring(kind="video", source=str(file)), clock)
    greys = []
    for _ in range(4):
        greys.append(grey_of(camera))
        clock.advance(0.1)
    assert greys == [pytest.approx(grey, abs=3) for grey in (50, 100, 150, 50)]
    camera.close()


@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        pytest.param("folder", "/no/such/folder", "cannot be read: No such file", id="no folder"),
        pytest.param("folder", "{empty}", "no picture in", id="empty folder"),
        pytest.param("video", "/no/such/film.avi", "is not a video", id="no video"),
        pytest.param(
            "usb", "/dev/v4l/by-id/none", "at /dev/v4l/by-id/none cannot be opened", id="no USB camera"
        ),
        pytest.param(
            "rtsp", "rtsp://me:secret@127.0.0.1:9/door", "at rtsp://127.0.0.1:9/door cannot", id="no stream"
        ),
        pytest.param("picamera2", "", "picamera2 is not installed", id="no Raspberry Pi"),
    ],
)
def test_a_camera_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, clock: HandClock, kind: str, source: str, message: str
) -> None:
    with pytest.raises(CameraLost, match=message) as caught:
        open_camera(wiring(kind=kind, source=source.format(empty=tmp_path)), clock)
    assert "camera cam" in str(caught.value)
    assert "secret" not in str(caught.value)


class ScriptedGrabber:
    """A driver that waits for the test to hand it a picture or an error."""

    def __init__(self) -> None:
        self.next: SimpleQueue[Pixels | Exception] = SimpleQueue()
        self.released = threading.Event()

    def grab(self) -> Pixels:
        each = self.next.get(timeout=WAIT_S)
        if isinstance(each, Exception):
            raise each
        return each

    def release(self) -> None:
        self.released.set()


def live(clock: HandClock) -> tuple[ScriptedGrabber, LiveCamera]:
    grabber = ScriptedGrabber()
    return grabber, LiveCamera(grabber, clock, name="cam", stale_s=5.0)


def test_a_live_camera_hands_over_what_its_driver_grabs(clock: HandClock) -> None:
    grabber, camera = live(clock)
    grabber.next.put(shade(70))
    assert grey_of(camera, WAIT_S) == 70
    grabber.next.put(CameraLost("end"))
    camera.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(CameraLost("cable pulled"), "cable pulled", id="the driver says so"),
        pytest.param(
            ZeroDivisionError("odd"), r"camera cam: ZeroDivisionError\('odd'\)", id="the driver breaks"
        ),
    ],
)
def test_a_live_camera_whose_driver_ends_is_lost_and_given_back(
    clock: HandClock, error: Exception, message: str
) -> None:
    grabber, camera = live(clock)
    grabber.next.put(error)
    with pytest.raises(CameraLost, match=message):
        camera.read(WAIT_S)
    assert grabber.released.wait(WAIT_S)
    camera.close()


def test_a_live_camera_that_falls_silent_is_lost(clock: HandClock) -> None:
    grabber, camera = live(clock)
    clock.advance(4.9)
    assert camera.read(0) is None
    clock.advance(0.2)
    with pytest.raises(CameraLost, match="no frame for 5 s"):
        camera.read(0)
    grabber.next.put(CameraLost("end"))
    camera.close()


def test_closing_a_live_camera_gives_the_device_back(clock: HandClock) -> None:
    grabber, camera = live(clock)
    closer = threading.Thread(target=camera.close)
    closer.start()
    grabber.next.put(shade(1))
    grabber.next.put(shade(2))
    closer.join(WAIT_S)
    assert grabber.released.wait(WAIT_S)


def test_opening_picks_by_kind_alone(monkeypatch: pytest.MonkeyPatch, clock: HandClock) -> None:
    asked: list[str] = []

    def grabber_of(kind: str) -> Callable[[CameraWiring], ScriptedGrabber]:
        def make(_: CameraWiring) -> ScriptedGrabber:
            asked.append(kind)
            grabber = ScriptedGrabber()
            grabber.next.put(CameraLost("end"))
            return grabber

        return make

    for kind in ("usb", "rtsp", "picamera2"):
        monkeypatch.setitem(open_camera.__globals__["GRABBERS"], kind, grabber_of(kind))
        open_camera(wiring(kind=kind, source="somewhere"), clock).close()
    assert asked == ["usb", "rtsp", "picamera2"]
