"""Rendered attacks: repeatable, of a camera's size, and still faces to the detector."""

import numpy as np
import pytest

from station_agent.vision import attacks
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.faces import opencv_engine, stranger, worker

__all__ = ["opencv_engine"]


@pytest.mark.parametrize("species", attacks.SPECIES)
def test_the_face_on_a_sheet_is_found_where_it_is_held_and_the_same_seed_gives_the_same_frame(
    opencv_engine: OpenCvEngine, species: str
) -> None:
    portrait = worker()
    box = opencv_engine.detect(portrait)[0].box
    frames = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        sheet = attacks.SPECIES[species](portrait, box, rng)
        pose = attacks.Pose(face_px=150, at=(0.4, 0.5), bend=0.5 if species == "bent_print" else 0.0)
        frames.append(attacks.show(sheet, pose, attacks.room(stranger(), rng), rng))
    assert (frames[0] == frames[1]).all()
    assert frames[0].shape == (attacks.HEIGHT_PX, attacks.WIDTH_PX, 3)
    left, top, width, height = opencv_engine.detect(frames[0])[0].box
    assert width == pytest.approx(150, rel=0.25)
    assert left + width / 2 == pytest.approx(0.4 * attacks.WIDTH_PX, abs=30)
    assert top + height / 2 == pytest.approx(0.5 * attacks.HEIGHT_PX, abs=40)


def test_a_sheet_turned_away_grows_narrow_and_a_live_face_fills_the_frame(
    opencv_engine: OpenCvEngine,
) -> None:
    portrait = worker()
    box = opencv_engine.detect(portrait)[0].box
    rng = np.random.default_rng(4)
    sheet = attacks.print_sheet(portrait, box, rng)
    wall = np.full((attacks.HEIGHT_PX, attacks.WIDTH_PX, 3), 200, dtype=np.uint8)
    held = [attacks.show(sheet, attacks.Pose(face_px=150, yaw_deg=yaw_deg), wall, rng) for yaw_deg in (0, 40)]
    widths = [opencv_engine.detect(pixels)[0].box[2] for pixels in held]
    assert widths[1] < 0.9 * widths[0]
    live = attacks.live(portrait, box, rng)
    assert live.shape == (attacks.HEIGHT_PX, attacks.WIDTH_PX, 3)
    assert opencv_engine.detect(live)
