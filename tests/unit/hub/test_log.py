"""One line per record, with its facts behind it."""

import logging
import sys

from cloud_hub.log import Lines


def line(message: str, **facts: object) -> str:
    record = logging.LogRecord("cloud_hub.x", logging.INFO, "x.py", 1, message, (), None)
    vars(record).update(facts)
    return Lines("bridge").format(record)


def test_facts_follow_the_event() -> None:
    assert line("payload refused", topic="yz", reason="too large").endswith(
        "INFO bridge cloud_hub.x: payload refused topic='yz' reason='too large'"
    )


def test_a_fact_cannot_forge_a_line() -> None:
    assert "\n" not in line("payload refused", topic="x\n2025-01-01 ERROR forged")


def test_a_traceback_follows_its_line() -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "died", (), None)
    try:
        int("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in Lines("web").format(record)
