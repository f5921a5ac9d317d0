"""One suite over both engines: what a caller may rely on whichever is chosen."""

import math
import threading
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from station_agent.core.entry import SAME_PERSON
from station_agent.vision.dlib_engine import RADIUS, DlibEngine, lift
from station_agent.vision.engine import LEFT_EYE, NOSE, RIGHT_EYE, FaceEngine
from station_agent.vision.frame import Pixels
from station_agent.vision.models import dlib_models, opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.faces import pictures_of, stranger, worker

ENGINES: dict[str, Callable[[], FaceEngine]] = {
    "opencv": lambda: OpenCvEngine(opencv_models(None)),
    "face-recognition": lambda: DlibEngine(dlib_models()),
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> FaceEngine:
    return ENGINES[request.param]()


def vector_of(engine: FaceEngine, pixels: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return engine.embed(pixels, engine.detect(pixels)[0])


def score(engine: FaceEngine, one: Pixels, two: Pixels) -> float:
    return engine.score(float(vector_of(engine, one) @ vector_of(engine, two)))


def on_a_wall(picture: Pixels, width_px: int, height_px: int) -> Pixels:
    frame = np.full((height_px, width_px, 3), 120, dtype=np.uint8)
    height, width = picture.shape[:2]
    frame[: min(height, height_px), : min(width, width_px)] = picture[:height_px, :width_px]
    return frame


def test_it_names_itself_and_its_weights(engine: FaceEngine) -> None:
    assert engine.name in ENGINES
    assert len(engine.digest) == 64
    assert set(engine.digest) <= set("0123456789abcdef")


def test_a_face_has_its_landmarks_inside_its_box(engine: FaceEngine) -> None:
    face = engine.detect(worker())[0]
    left, top, width, height = face.box
    eyes_and_nose = face.landmarks[[RIGHT_EYE, LEFT_EYE, NOSE]]
    assert face.landmarks.shape == (5, 2)
    assert np.all(eyes_and_nose >= (left, top))
    assert np.all(eyes_and_nose <= (left + width, top + height))
    assert face.landmarks[RIGHT_EYE][0] < face.landmarks[LEFT_EYE][0]
    assert 35 < face.eye_distance_px < 50


def test_an_empty_wall_has_no_face(engine: FaceEngine) -> None:
    assert engine.detect(np.full((480, 640, 3), 120, dtype=np.uint8)) == []
    assert engine.detect(np.full((480, 640, 3), 120, dtype=np.uint8), thorough=True) == []


def test_the_largest_face_comes_first(engine: FaceEngine) -> None:
    near = stranger()
    far = cv2.resize(worker(), (360, 360), interpolation=cv2.INTER_AREA)
    both = on_a_wall(near, 900, 600)
    both[100:460, 530:890] = far
    faces = engine.detect(both)
    assert len(faces) >= 2
    assert faces[0].area_px == max(face.area_px for face in faces)
    assert faces[0].box[0] < 450


def test_a_vector_is_of_unit_length(engine: FaceEngine) -> None:
    vector = vector_of(engine, worker())
    assert vector.dtype == np.float32
    assert vector.shape == (engine.dimension,)
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)


def test_the_same_pixels_give_the_same_vector(engine: FaceEngine) -> None:
    assert np.array_equal(vector_of(engine, worker()), vector_of(engine, worker()))


def test_a_person_is_closer_to_themselves_than_to_another(engine: FaceEngine) -> None:
    mirrored = np.ascontiguousarray(worker()[:, ::-1])
    assert score(engine, worker(), mirrored) > SAME_PERSON
    assert score(engine, worker(), stranger()) < SAME_PERSON - 0.1


def test_score_rises_with_the_cosine_and_is_largest_for_the_same_vector(engine: FaceEngine) -> None:
    scores = [engine.score(cosine) for cosine in np.linspace(-1, 1, 101)]
    assert scores == sorted(scores)
    assert scores[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((0, 0, 3), dtype=np.uint8), id="empty"),
        pytest.param(np.zeros((48, 64), dtype=np.uint8), id="grey"),
        pytest.param(np.zeros((48, 64, 4), dtype=np.uint8), id="with alpha"),
        pytest.param(np.zeros((48, 64, 3), dtype=np.float32), id="floats"),
    ],
)
def test_what_is_no_picture_is_refused(
    engine: FaceEngine, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        engine.detect(pixels)


def test_a_picture_of_a_few_pixels_has_no_face(engine: FaceEngine) -> None:
    assert engine.detect(np.zeros((3, 2, 3), dtype=np.uint8)) == []


def test_threads_take_turns(engine: FaceEngine) -> None:
    expected = {"worker": vector_of(engine, worker()), "stranger": vector_of(engine, stranger())}
    wrong: list[str] = []

    def look(name: str, pixels: Pixels) -> None:
        same = [np.array_equal(vector_of(engine, pixels), expected[name]) for _ in range(5)]
        wrong.extend(name for each in same if not each)

    threads = [
        threading.Thread(target=look, args=each) for each in (("worker", worker()), ("stranger", stranger()))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.faces
def test_photographs_of_one_person_are_closer_than_those_of_two(engine: FaceEngine) -> None:
    first, second = (
        [vector_of(engine, pixels) for pixels in pictures_of("lfw10", person)[:5]]
        for person in ("Colin_Powell", "Tony_Blair")
    )
    genuine = [float(a @ b) for people in (first, second) for a in people for b in people if a is not b]
    impostor = [float(a @ b) for a in first for b in second]
    assert np.median(genuine) > max(impostor)


@pytest.fixture(scope="module")
def opencv() -> OpenCvEngine:
    return OpenCvEngine(opencv_models(None))


@pytest.mark.parametrize(("width_px", "height_px"), [(640, 480), (1280, 720), (720, 1280), (4000, 3000)])
def test_opencv_maps_a_face_back_to_the_full_picture(
    opencv: OpenCvEngine, width_px: int, height_px: int
) -> None:
    exact = opencv.detect(worker())[0]
    (face,) = opencv.detect(on_a_wall(worker(), width_px, height_px), thorough=True)
    assert np.abs(face.landmarks - exact.landmarks).max() < 4


def test_opencv_looks_closer_at_a_small_face(opencv: OpenCvEngine) -> None:
    small = cv2.resize(worker(), (380, 380), interpolation=cv2.INTER_AREA)
    frame = on_a_wall(np.asarray(small, dtype=np.uint8), 1280, 720)
    (face,) = opencv.detect(frame)
    assert face.eye_distance_px < 35
    assert float(opencv.embed(frame, face) @ vector_of(opencv, worker())) > 0.85


def test_opencv_finds_a_face_that_fills_the_picture_when_thorough(opencv: OpenCvEngine) -> None:
    crop = np.ascontiguousarray(worker()[70:175, 182:268])
    faces = opencv.detect(crop, thorough=True)
    assert len(faces) == 1
    assert float(opencv.embed(crop, faces[0]) @ vector_of(opencv, worker())) > 0.7


def test_dlib_scores_are_one_minus_the_euclidean_distance() -> None:
    rng = np.random.default_rng(5)
    engine = DlibEngine(dlib_models())
    for _ in range(50):
        one, two = (rng.normal(0, 0.12, 128) for _ in range(2))
        exact = 1 - float(np.linalg.norm(one - two))
        assert engine.score(float(lift(one) @ lift(two))) == pytest.approx(exact, abs=0.01)


def test_dlib_refuses_to_lift_what_is_longer_than_its_sphere() -> None:
    with pytest.raises(ValueError, match="does not fit a sphere"):
        lift(np.full(128, RADIUS))


def test_dlib_does_not_pretend_to_find_the_mouth() -> None:
    face = DlibEngine(dlib_models()).detect(worker())[0]
    assert all(math.isnan(value) for value in face.landmarks[3:].ravel())
