"""Every parser of what comes from outside: whatever comes, a verdict, in bounded memory, and nothing big is even read."""

import tracemalloc
from typing import Any

import pytest

from firmware_config import replica, signing, wire
from firmware_config.signing import Refused
from tests.faults.fuzz.hunt import corpus, hunt
from tests.faults.fuzz.mutations import HUGE
from tests.faults.fuzz.targets import targets

EXAMPLES = 25
NETWORK = [
    name for name in targets() if name.startswith(("hub", "station", "envelope")) and "inner" not in name
]


@pytest.mark.parametrize("name", sorted(targets()))
def test_whatever_comes_there_is_a_verdict_and_an_end_to_memory(name: str) -> None:
    found = hunt(targets()[name], EXAMPLES, first_seed=1)
    assert found.crashes == []
    assert found.runs >= EXAMPLES


@pytest.mark.parametrize("name", sorted(name for name in targets() if not name.startswith("station config")))
def test_what_the_mutations_begin_from_is_good(name: str) -> None:
    for data in targets()[name].seeds:
        targets()[name].feed(data)


def test_what_once_broke_a_parser_is_kept_and_named_after_one() -> None:
    assert sum(len(corpus(name)) for name in targets()) == len(list(_corpus_files()))


def _corpus_files() -> list[str]:
    from tests.faults.fuzz.hunt import CORPUS  # noqa: PLC0415

    return [file.name for file in CORPUS.glob("*.hex")]


class _Untouched:
    """Stands where a decoder stood, and must not be asked."""

    def decode(self, data: object) -> Any:
        raise AssertionError(f"decoded {len(bytes(data))} bytes")  # type: ignore[call-overload]


@pytest.mark.parametrize("name", sorted(NETWORK))
@pytest.mark.parametrize("byte", [b"9", b"[", b" "])
def test_10_megabytes_are_refused_before_anything_reads_them(
    name: str, byte: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_ENVELOPE", _Untouched())
    monkeypatch.setattr(wire, "_decoder", lambda _: _Untouched())
    monkeypatch.setattr(replica, "_SEALED", _Untouched())
    target, payload = targets()[name], byte * HUGE
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="too_large"):
            target.feed(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024


def test_the_guard_against_decoding_would_notice() -> None:
    with pytest.raises(AssertionError, match="decoded 2 bytes"):
        _Untouched().decode(b"{}")
