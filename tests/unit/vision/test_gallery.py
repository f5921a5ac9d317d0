"""Search, margin, and what is refused; beside a search written out in full."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.vision.engine import Vector, unit
from station_agent.vision.gallery import Gallery, Match

D = 4


def rows(*vectors: tuple[float, ...]) -> Vector:
    return np.stack([unit(np.array(vector)) for vector in vectors])


def towards(*vector: float) -> Vector:
    return unit(np.array(vector))


ANNA, BO = rows((1, 0, 0, 0), (1, 0.2, 0, 0)), rows((0, 1, 0, 0))


def test_nobody_enrolled_matches_nobody() -> None:
    assert Gallery(D).nearest(towards(1, 0, 0, 0)) is None


def test_one_person_alone_has_an_infinite_margin() -> None:
    match = Gallery(D, [("anna", ANNA)]).nearest(towards(1, 0, 0, 0))
    assert match == Match("anna", 1.0, float("inf"))


def test_the_margin_is_over_another_person_not_over_another_row() -> None:
    match = Gallery(D, [("anna", ANNA), ("bo", BO)]).nearest(towards(1, 0, 0, 0))
    assert match == Match("anna", 1.0, 1.0)


def test_scores_are_on_the_engines_scale() -> None:
    gallery = Gallery(D, [("anna", ANNA), ("bo", BO)], score=lambda cosine: 10 * cosine)
    assert gallery.nearest(towards(1, 0, 0, 0)) == Match("anna", 10.0, 10.0)


def test_a_change_makes_a_new_gallery_and_leaves_the_old_one() -> None:
    old = Gallery(D, [("anna", ANNA)])
    new = old.with_person("bo", BO).with_person("anna", ANNA[:1])
    assert (old.people, len(old)) == (("anna",), 2)
    assert (sorted(new.people), len(new)) == (["anna", "bo"], 2)
    assert new.without("anna").people == ("bo",)
    assert new.without("nobody").people == new.people
    assert not new.faces.flags.writeable


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        pytest.param(np.ones((1, D), np.float32), "length 2.0000, not of unit length", id="not unit"),
        pytest.param(np.full((1, D), np.nan, np.float32), "not of unit length", id="not a number"),
        pytest.param(rows((1, 0, 0)), r"shape \(1, 3\)", id="another engine's"),
        pytest.param(np.empty((0, D), np.float32), r"shape \(0, 4\)", id="none"),
        pytest.param(ANNA[0], r"shape \(4,\)", id="not a block"),
    ],
)
def test_rows_no_engine_made_are_refused(faces: Vector, message: str) -> None:
    with pytest.raises(ValueError, match=f"anna: .*{message}"):
        Gallery(D, [("anna", faces)])


@pytest.mark.parametrize(
    "probe",
    [
        pytest.param(np.ones(D, np.float32), id="not unit"),
        pytest.param(towards(1, 0, 0), id="another engine's"),
        pytest.param(ANNA, id="two at once"),
    ],
)
def test_a_probe_no_engine_made_is_refused(probe: Vector) -> None:
    with pytest.raises(ValueError, match="the probe: "):
        Gallery(D, [("anna", ANNA)]).nearest(probe)


def test_a_person_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="comes twice"):
        Gallery(D, [("anna", ANNA), ("anna", BO)])


def test_rows_of_somebody_not_enrolled_are_a_key_error() -> None:
    with pytest.raises(KeyError, match="bo"):
        Gallery(D, [("anna", ANNA)]).of("bo")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_it_finds_what_a_plain_search_finds(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [
        (f"p{number}", np.stack([unit(rng.normal(size=D)) for _ in range(size)]))
        for number, size in enumerate(sizes)
    ]
    probe = unit(rng.normal(size=D))
    best = {person: max(float(row @ probe) for row in faces) for person, faces in people}
    ranked = sorted(best.items(), key=lambda pair: -pair[1])
    match = Gallery(D, people).nearest(probe)
    assert match is not None
    assert match.person == ranked[0][0]
    assert match.score == pytest.approx(ranked[0][1], abs=1e-6)
    if len(ranked) > 1:
        assert match.margin == pytest.approx(ranked[0][1] - ranked[1][1], abs=1e-6)


def test_a_vector_without_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="no direction"):
        unit(np.zeros(D))
    with pytest.raises(ValueError, match="no direction"):
        unit(np.full(D, np.inf))
