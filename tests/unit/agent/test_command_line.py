"""``station-agent``: exit codes, messages and JSON that scripts rely on."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from station_agent.__main__ import main
from tests.support.stations import new_hub_key, write_station


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def station_file(tmp_path: Path) -> Path:
    _, public = new_hub_key(tmp_path)
    path, _ = write_station(tmp_path, hub_public=public)
    return path


@pytest.mark.parametrize(
    "command",
    ["run", "check-config", "doctor", "provision", "bench", "bench faces", "bench identify", "bench pad"],
)
def test_every_command_has_help(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_a_good_file_is_summed_up_as_one_json_document(station_file: Path) -> None:
    result = run("check-config", station_file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "ok": True,
        "station": "st-test0001",
        "name": "Test station",
        "profile": "Simulated station",
        "doors": ["main"],
        "cameras": ["entry"],
        "sensors": ["temperature", "co2"],
        "broker": "127.0.0.1:1883",
        "liveness": "off",
        "kiosk": "off",
        "storage": "64 MiB reserve, 200000 events and 100000 readings may wait, 300 MB a day",
    }


@pytest.mark.parametrize(
    "command", [["check-config"], ["doctor", "--config"], ["provision", "--config"], ["run", "--config"]]
)
def test_a_bad_file_ends_every_command_with_2_and_all_its_faults(
    station_file: Path, command: list[str]
) -> None:
    text = station_file.read_text(encoding="utf-8").replace("capacity = 4", "capacity = 0\nlimit = 3")
    station_file.write_text(text, encoding="utf-8")
    result = run(*command, station_file)
    assert result.exit_code == 2
    assert str(station_file) in result.stderr
    assert "occupancy.capacity" in result.stderr
    assert "occupancy.limit" in result.stderr
    assert result.stdout == ""


def test_a_bad_file_as_json_lists_its_faults(station_file: Path) -> None:
    station_file.write_text("schema = 1\n", encoding="utf-8")
    result = run("check-config", station_file, "--json")
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert "station: Field required" in told["faults"]


def test_bad_usage_ends_with_2(station_file: Path) -> None:
    assert run("run").exit_code == 2
    assert run("fly").exit_code == 2
    trace_without_simulate = run("run", "--config", station_file, "--trace", "x")
    assert trace_without_simulate.exit_code == 2
    assert "they need --simulate" in trace_without_simulate.stderr


def test_a_missing_signing_key_says_how_to_make_one(station_file: Path) -> None:
    (station_file.parent / "station.pem").unlink()
    result = run("run", "--config", station_file, "--simulate")
    assert result.exit_code == 2
    assert "station-agent provision" in result.stderr


def test_a_bench_profile_without_simulate_is_refused(station_file: Path) -> None:
    result = run("run", "--config", station_file)
    assert result.exit_code == 1
    assert "--simulate" in result.stderr


def test_provision_makes_a_key_once_and_prints_the_same_public_half_again(station_file: Path) -> None:
    key = station_file.parent / "station.pem"
    key.unlink()
    first = json.loads(run("provision", "--config", station_file, "--json").stdout)
    assert key.stat().st_mode & 0o777 == 0o600
    assert json.loads(run("provision", "--config", station_file, "--json").stdout) == first
    assert first["station"] == "st-test0001"


def test_a_model_of_another_digest_is_refused_by_file_and_digest(station_file: Path) -> None:
    (station_file.parent / "model.onnx").write_bytes(b"not the weights")
    section = f'[face.models]\ndetector = "model.onnx"\ndetector_sha256 = "{"0" * 64}"\n'
    section += f'recogniser = "model.onnx"\nrecogniser_sha256 = "{"0" * 64}"\n'
    station_file.write_text(station_file.read_text(encoding="utf-8") + section, encoding="utf-8")
    result = run("run", "--config", station_file, "--simulate")
    assert result.exit_code == 1
    assert "model.onnx has SHA-256" in result.stderr
    assert "0" * 64 in result.stderr


def test_doctor_names_what_is_missing_and_fails(station_file: Path) -> None:
    (station_file.parent / "station.pem").chmod(0o644)
    result = run("doctor", "--config", station_file, "--json")
    assert result.exit_code == 1
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert "chmod 600" in checks["signing key"]["detail"]
    assert checks["broker"]["ok"] is False
    assert checks["face models"]["ok"] is True


def test_doctor_names_the_key_of_a_liveness_model_that_cannot_be_used(station_file: Path) -> None:
    section = (
        '[face.passive]\nmodel = "liveness.onnx"\nmanifest = "liveness.toml"\n' + f'sha256 = "{"0" * 64}"\n'
    )
    text = station_file.read_text(encoding="utf-8")
    station_file.write_text(
        text.replace('liveness = "off"\n', f'liveness = "both"\n{section}'), encoding="utf-8"
    )
    result = run("doctor", "--config", station_file, "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["liveness"]["ok"] is False
    assert checks["liveness"]["detail"].startswith("face.passive: ")
    assert str(station_file.parent / "liveness.toml") in checks["liveness"]["detail"]
    assert "manifest" in run("run", "--config", station_file, "--simulate").stderr


def test_a_liveness_model_and_its_manifest_go_together(tmp_path: Path) -> None:
    result = run("bench", "pad", tmp_path, "--model", tmp_path / "model.onnx")
    assert result.exit_code == 2
    assert "go together" in result.stderr


def test_an_empty_dataset_is_named(tmp_path: Path) -> None:
    result = run("bench", "faces", "--dataset", tmp_path, "--json")
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr
