"""Good inputs made bad: by their bytes, by their JSON tree, and by what JSON allows but nobody writes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st

HUGE: Final = 10 * 1024 * 1024

ODD: Final[tuple[str, ...]] = (
    "null", "true", "0", "-1", "1e999", "-1e999", "NaN", "Infinity", "9" * 400, "-" + "9" * 5_000, "1.5", "9007199254740993",
    '""', '"\\ud800"', '"\\u0000"', '"' + "a" * 70_000 + '"', "[]", "{}", "[" * 2_000 + "]" * 2_000, '{"a":' * 1_500 + "1" + "}" * 1_500,
    "18446744073709551616", '"2025-01-01"', "[null]", '{"":{}}', "-0", "1E400", '"' + "\\u00e9" * 88 + '"', '"\\uDFFF\\uD800"',
)  # fmt: skip
"""JSON texts that somebody forgot to think of."""

RAW: Final[tuple[bytes, ...]] = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{", b'{"v":1', b"[" * 100_000, b'{"a":' * 50_000, b'"' + b"\\" * 4_097,
    b"\xed\xa0\x80", b"\xf0\x9f\x98", b"9" * 5_000, b" " * 60_000, b"nul", b'{"v":1,"v":2}', b"\x80" * 300,
)  # fmt: skip
"""Bytes that are no message."""


def leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something can be replaced."""
    if path:
        yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree[:20]):
            yield from leaves(value, (*path, index))


def planted(tree: Any, path: Sequence[str | int], text: str) -> bytes:
    """The tree as text, with ``text`` at ``path``."""
    mark = "@@here@@"
    copy = json.loads(json.dumps(tree))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = mark
    return json.dumps(copy).replace(f'"{mark}"', text).encode("utf-8", "surrogatepass")


def without(tree: dict[str, Any], key: str) -> bytes:
    """A field is missing."""
    return json.dumps({name: value for name, value in tree.items() if name != key}).encode()


def doubled(tree: dict[str, Any], key: str, text: str) -> bytes:
    """A field twice, and the second time otherwise."""
    return f"{json.dumps(tree)[:-1]}, {json.dumps(key)}: {text}}}".encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], *, is_json: bool) -> bytes:
    """One bad input."""
    good = draw(st.sampled_from(seeds))
    tree = json.loads(good) if is_json else None
    if isinstance(tree, dict) and tree and draw(st.integers(0, 2)):
        return draw(by_tree(tree))
    return draw(by_bytes(good))


@st.composite
def by_tree(draw: st.DrawFn, tree: dict[str, Any]) -> bytes:
    """A field is odd, missing, there twice, or foreign."""
    way = draw(st.sampled_from(("plant", "plant", "plant", "lack", "double", "foreign")))
    if way == "lack":
        return without(tree, draw(st.sampled_from(sorted(tree))))
    odd = draw(st.sampled_from(ODD))
    if way == "plant":
        return planted(tree, draw(st.sampled_from(list(leaves(tree)))), odd)
    key = draw(st.sampled_from(sorted(tree)) if way == "double" else st.text(max_size=8))
    return doubled(tree, key, odd)


@st.composite
def by_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    """A bit flipped, bytes added or cut off, the whole again and again, or nothing of it at all."""
    at = draw(st.integers(0, len(good) - 1))
    flipped = good[:at] + bytes([good[at] ^ 1 << draw(st.integers(0, 7))]) + good[at + 1 :]
    inserted = good[:at] + draw(st.binary(min_size=1, max_size=20)) + good[at:]
    repeated = good * draw(st.integers(2, 5))
    return draw(
        st.one_of(st.sampled_from((flipped, good[:at], inserted, repeated, *RAW)), st.binary(max_size=300))
    )
