"""What ``check-config`` and ``doctor`` say of a kiosk, and what a station file may ask for."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_config.load import ConfigError
from firmware_config.station import load_station
from station_agent.__main__ import main
from station_agent.doctor import examine
from tests.support.stations import new_hub_key, write_station


def written(folder: Path, kiosk: str | None) -> Path:
    _, public = new_hub_key(folder)
    return write_station(folder, hub_public=public, kiosk=kiosk)[0]


def findings(path: Path) -> dict[str, tuple[bool, str]]:
    return {item.name: (item.ok, item.detail) for item in examine(load_station(path))}


def test_a_station_has_no_kiosk_unless_its_file_asks_for_one(tmp_path: Path) -> None:
    path = written(tmp_path, None)
    assert load_station(path).config.kiosk.enabled is False
    assert "kiosk" not in findings(path)


@pytest.mark.parametrize(
    ("kiosk", "fault"),
    [
        ('host = "0.0.0.0"', "kiosk.host"),
        ("port = 80", "kiosk.port"),
        ("port = 70000", "kiosk.port"),
        ('door = "side"', "kiosk.door: 'side' is no door of this station; there are main"),
        ('phone = "ring me"', "kiosk.phone"),
    ],
)
def test_what_a_kiosk_cannot_be_is_told_with_its_key(tmp_path: Path, kiosk: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_station(written(tmp_path, kiosk))
    assert fault in str(caught.value)


def test_the_summary_names_door_and_port(tmp_path: Path) -> None:
    path = written(tmp_path, "port = 8111")
    told = CliRunner().invoke(main, ["check-config", str(path), "--json"])
    assert json.loads(told.output)["kiosk"] == "door main, 127.0.0.1:8111"


def test_a_port_that_another_program_has_is_found(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        taken.settimeout(0.1)
        ok, detail = findings(written(tmp_path, f"port = {taken.getsockname()[1]}"))["kiosk"]
    assert (ok, "another program has this port" in detail) == (False, True)


def test_a_free_port_is_as_good_as_any(tmp_path: Path) -> None:
    assert findings(written(tmp_path, ""))["kiosk"] == (True, "any free port; the log says which")


def test_silence_is_reported_and_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "")
    monkeypatch.setenv("PATH", "/nowhere")
    ok, detail = findings(path)["voice"]
    assert ok
    assert "espeak-ng is not installed" in detail
