"""The threshold from the gallery's size: its rules, and what it may never do."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.core.threshold import (
    CLOSED,
    LARGEST_VALIDATED_N,
    Bell,
    Frames,
    GalleryTooLargeError,
    Impostors,
    Recording,
    of_a_gallery,
    repeated,
)

FRAMES = Frames(agreeing=3, judged=8)
ONE_FRAME = Frames(agreeing=1, judged=1, tries=1)

RECORDING = Recording(
    source="a set",
    people=40,
    comparisons=100_000,
    likeness=0.95,
    template_likeness=0.8,
    bell=Bell(0.1, 0.09),
    resampled=tuple(Bell(0.1 + shift / 1000, 0.09 + shift / 2000) for shift in range(-10, 10)),
)
IMPOSTORS = Impostors(engine="an engine", digest="0" * 64, floor=0.4, recordings=(RECORDING,))

sizes = st.integers(min_value=1, max_value=LARGEST_VALIDATED_N)
shares = st.floats(min_value=1e-10, max_value=0.5)


def test_the_share_above_a_score_is_that_of_a_normal_distribution() -> None:
    bell = Bell(0.1, 0.05)
    assert bell.exceeded(0.1) == pytest.approx(0.5)
    assert bell.exceeded(0.15) == pytest.approx(0.158655, rel=1e-5)
    assert bell.exceeded(0.1 + 7 * 0.05) == pytest.approx(1.279813e-12, rel=1e-5)


@pytest.mark.parametrize("n", [1, 50, 5000])
def test_a_gallery_multiplies_small_rates_by_its_size(n: int) -> None:
    assert of_a_gallery(1e-9, n) == pytest.approx(n * 1e-9, rel=1e-5)
    assert of_a_gallery(0.0, n) == 0
    assert of_a_gallery(1.0, n) == 1


@settings(deadline=None, max_examples=60)
@given(share=shares, likeness=st.floats(min_value=0, max_value=0.999))
def test_no_likeness_of_frames_escapes_the_bound_that_needs_no_model(share: float, likeness: float) -> None:
    assert 0 <= repeated(share, likeness, FRAMES) <= 3 * 8 / 3 * share * (1 + 1e-9)


def test_equal_frames_count_as_one_and_independent_ones_must_agree_by_chance() -> None:
    one_try = Frames(agreeing=3, judged=8, tries=1)
    assert repeated(1e-3, 0.9999, one_try) == pytest.approx(1e-3, rel=0.05)
    by_chance = sum(math.comb(8, k) * 1e-3**k * 0.999 ** (8 - k) for k in range(3, 9))
    assert repeated(1e-3, 0.0, one_try) == pytest.approx(by_chance, rel=1e-3)


def test_the_model_of_alike_frames_agrees_with_drawing_them() -> None:
    rng = random.Random(7)  # noqa: S311 (draws for a test, no secret)
    limit, likeness, visits, hits = 1.6449, 0.9, 40_000, 0
    for _ in range(visits):
        shared = rng.gauss() * math.sqrt(likeness)
        above = sum(shared + rng.gauss() * math.sqrt(1 - likeness) >= limit for _ in range(8))
        hits += above >= 3
    modelled = repeated(0.05, likeness, Frames(agreeing=3, judged=8, tries=1))
    assert hits / visits == pytest.approx(modelled, rel=0.06)


@settings(deadline=None, max_examples=15)
@given(n=sizes, more=sizes, fpir=st.floats(min_value=1e-4, max_value=1e-2))
def test_more_people_never_lower_the_threshold_and_the_target_is_kept(n: int, more: int, fpir: float) -> None:
    n, more = sorted((n, more))
    low, high = (IMPOSTORS.threshold(size, fpir, FRAMES) for size in (n, more))
    assert low <= high < CLOSED
    assert IMPOSTORS.predicted_fpir(more, high, FRAMES, confidence=0.95) <= fpir * (1 + 1e-3)


def test_a_stricter_target_more_templates_or_more_frames_to_choose_from_raise_it() -> None:
    usual = IMPOSTORS.threshold(200, 1e-3, FRAMES)
    assert IMPOSTORS.threshold(200, 1e-4, FRAMES) > usual
    assert IMPOSTORS.threshold(200, 1e-3, FRAMES, templates=3) > usual
    assert IMPOSTORS.threshold(200, 1e-3, Frames(agreeing=3, judged=30)) > usual
    assert IMPOSTORS.threshold(200, 1e-3, Frames(agreeing=5, judged=8)) < usual


def test_confidence_costs_something_and_the_best_estimate_is_not_for_doors() -> None:
    assert IMPOSTORS.threshold(200, 1e-3, FRAMES) > IMPOSTORS.threshold(200, 1e-3, FRAMES, confidence=None)


def test_the_worst_set_decides() -> None:
    worse = replace(RECORDING, bell=Bell(0.2, 0.09), resampled=(Bell(0.2, 0.09),))
    alone = replace(IMPOSTORS, recordings=(worse,)).threshold(50, 1e-3, FRAMES)
    assert replace(IMPOSTORS, recordings=(RECORDING, worse)).threshold(50, 1e-3, FRAMES) == alone
    assert alone > IMPOSTORS.threshold(50, 1e-3, FRAMES)


@pytest.mark.parametrize("n", [0, 1])
def test_a_small_gallery_keeps_the_floor(n: int) -> None:
    assert replace(IMPOSTORS, floor=0.55).threshold(n, 1e-3, FRAMES) == 0.55


def test_the_largest_validated_gallery_has_a_threshold_and_one_more_is_refused() -> None:
    assert IMPOSTORS.threshold(LARGEST_VALIDATED_N, 1e-3, FRAMES) < CLOSED
    for model, people in ((IMPOSTORS, LARGEST_VALIDATED_N), (replace(IMPOSTORS, largest=50), 50)):
        with pytest.raises(GalleryTooLargeError, match=f"{people + 1} people in one gallery"):
            model.threshold(people + 1, 1e-3, FRAMES)


def test_nothing_recorded_opens_for_nobody() -> None:
    blind = replace(IMPOSTORS, recordings=())
    assert blind.threshold(1, 1e-3, FRAMES) == CLOSED
    assert blind.predicted_fpir(1, 0.9, FRAMES) == 1.0


@pytest.mark.parametrize(
    ("n", "fpir", "templates"),
    [
        pytest.param(-1, 1e-3, 1, id="fewer than nobody"),
        pytest.param(5, 0.0, 1, id="no rate at all"),
        pytest.param(5, 1.0, 1, id="always"),
        pytest.param(5, math.nan, 1, id="no number"),
        pytest.param(5, 1e-3, 0, id="no template"),
    ],
)
def test_what_makes_no_sense_has_no_threshold(n: int, fpir: float, templates: int) -> None:
    with pytest.raises(ValueError, match="no threshold for"):
        IMPOSTORS.threshold(n, fpir, FRAMES, templates=templates)


@pytest.mark.parametrize(("agreeing", "judged", "tries"), [(0, 8, 1), (9, 8, 1), (3, 8, 0)])
def test_frames_that_decide_nothing_are_refused(agreeing: int, judged: int, tries: int) -> None:
    with pytest.raises(ValueError, match="decide nothing"):
        Frames(agreeing=agreeing, judged=judged, tries=tries)


def test_certain_and_impossible_stay_so() -> None:
    assert repeated(0.0, 0.9, FRAMES) == 0
    assert repeated(1.0, 0.9, FRAMES) == 1
    assert repeated(0.01, 1.0, ONE_FRAME) == pytest.approx(0.01, rel=0.1)
