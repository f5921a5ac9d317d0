"""When a frame is worth a look."""

import numpy as np

from station_agent.simulate.vary import empty, vary
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.motion import ANYWAY_S, LINGER_S, MotionGate
from tests.support.faces import worker

WALL = empty(np.random.default_rng(0), 1280, 720)


def frame(pixels: Pixels, taken_s: float) -> Frame:
    return Frame(pixels, taken_s, 1)


def test_the_first_frame_is_looked_at() -> None:
    assert MotionGate().opens(frame(WALL, 0.0))


def test_a_still_doorway_is_looked_at_once_a_second_despite_its_noise() -> None:
    gate, rng = MotionGate(), np.random.default_rng(1)
    looks = [tenth for tenth in range(31) if gate.opens(frame(empty(rng, 1280, 720), tenth / 10))]
    assert looks == [0, 10, 20, 30]
    assert ANYWAY_S == 1.0


def test_somebody_who_appears_is_looked_at_at_once() -> None:
    gate, rng = MotionGate(), np.random.default_rng(1)
    gate.opens(frame(WALL, 0.0))
    assert gate.opens(frame(vary(worker(), rng, 1280, 720), 0.1))


def test_a_person_who_stands_still_is_looked_at_all_the_while() -> None:
    gate = MotionGate()
    gate.opens(frame(WALL, 0.0))
    gate.saw_face(frame(WALL, 0.0))
    assert all(gate.opens(frame(WALL, tenth / 10)) for tenth in range(1, round(LINGER_S * 10) + 1))
    assert not gate.opens(frame(WALL, LINGER_S + 0.1))


def test_small_frames_are_compared_too() -> None:
    gate = MotionGate()
    black, white = (np.full((90, 100, 3), grey, dtype=np.uint8) for grey in (0, 255))
    assert [
        gate.opens(frame(pixels, 0.1 * number)) for number, pixels in enumerate((black, black, white))
    ] == [
        True,
        False,
        True,
    ]
