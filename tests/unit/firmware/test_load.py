"""Settings of the hub use the same loader; here are its sentences."""

from pathlib import Path

import pytest

from firmware_config.load import ConfigError, Section, load


class Inner(Section):
    size: int


class Outer(Section):
    name: str
    items: tuple[Inner, ...] = ()


def test_faults_name_their_place_in_lists(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = 3\nitems = [{ size = 1 }, { size = "big" }]\nmore = 1\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, Outer)
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["name", "items[1].size", "more"]


def test_a_secret_in_a_wrong_place_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = "ok"\npassword = "hunter2"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, Outer)
    assert "hunter2" not in str(caught.value)
