"""Every reason a person can be turned away for has one sentence."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from enum import StrEnum
from types import ModuleType
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

import station_agent.core
import station_agent.vision
from station_agent.core import challenge, entry, liveness, lockout, passes, pins, policy
from station_agent.texts import TEXTS
from station_agent.vision import quality

REASONS = re.compile(r"(Reason|Reject|Refusal|Fault)$")
"""Names of the types that hold reason codes."""


def modules() -> Iterator[ModuleType]:
    for package in (station_agent.core, station_agent.vision):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(("dlib_engine", "camera_live")):
                yield importlib.import_module(found.name)


def codes(kind: object) -> set[str]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {member.value for member in kind}
    return set(get_args(kind)) if get_origin(kind) is Literal else set()


def all_codes() -> set[str]:
    found = {*challenge.Step, "pin_wrong", "storage_full", *codes(get_type_hints(lockout.Locked)["reason"])}
    for module in modules():
        for name, value in vars(module).items():
            if REASONS.search(name):
                found |= codes(value)
    return found


def test_every_reason_of_the_package_has_a_sentence_and_no_other_has() -> None:
    assert set(TEXTS) == all_codes()


@pytest.mark.parametrize(
    "kind",
    [
        entry.DenialReason,
        liveness.Reason,
        quality.Reject,
        passes.PassRefusal,
        pins.PinFault,
        policy.Refusal,
    ],
)
def test_the_search_finds_the_reasons_that_are_known(kind: object) -> None:
    assert codes(kind)
    assert codes(kind) <= all_codes()


@pytest.mark.parametrize(("code", "text"), TEXTS.items())
def test_a_sentence_is_one(code: str, text: str) -> None:
    assert re.fullmatch(r"[A-Z].*\.", text), code
    assert "%" not in text
