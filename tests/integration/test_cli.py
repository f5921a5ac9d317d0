"""``cloud-hub`` as an operator meets it: exit codes, one JSON document, and faults that name what and where."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cloud_hub.cli import main
from tests.support.broker import MakeBroker
from tests.support.hub import STATION
from tests.support.parts import free_port
from tests.support.station import wait_for

PROGRAM = Path(sys.executable).with_name("cloud-hub")


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def document(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A hub made by its own commands."""
    made = document("init", "--data-dir", tmp_path / "hub", "--no-tls", "--broker-port", free_port())
    path = Path(made["config"])
    document("db", "upgrade", "--config", path)
    return path


def test_every_command_has_help() -> None:
    groups = {
        "db": ["upgrade"],
        "admin": ["create"],
        "token": ["create"],
        "station": ["add"],
        "key": ["create", "show"],
    }
    commands = [[name] for name in main.commands] + [
        [name, sub] for name, subs in groups.items() for sub in subs
    ]
    assert [words for words in commands if run(*words, "--help").exit_code != 0] == []


def test_init_writes_secrets_that_only_their_owner_can_read(tmp_path: Path) -> None:
    document("init", "--data-dir", tmp_path / "hub")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "hub").iterdir()}
    assert modes == {"hub.toml": 0o600, "web.key": 0o600, "command.key": 0o600, "passes.key": 0o600}


def test_init_never_overwrites(config: Path) -> None:
    before = config.read_text(encoding="utf-8")
    result = run("init", "--data-dir", config.parent)
    assert (result.exit_code, config.read_text(encoding="utf-8")) == (1, before)


def test_all_faults_of_a_settings_file_come_at_once_with_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text('schema = 1\ndata_dir = "."\ncolour = "red"\n[web]\nport = 99999\n', encoding="utf-8")
    result = run("audit", "verify", "--config", path)
    assert result.exit_code == 2
    for words in (str(path), "colour", "web.port", "web.secret_key_file", "broker", "orders"):
        assert words in result.stderr


@pytest.mark.parametrize(
    "command", [["audit", "verify"], ["web"], ["bridge"], ["token", "create", "--role", "viewer"]]
)
def test_without_settings_every_command_says_how_to_give_them(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("YIZHAN_HUB_CONFIG", raising=False)
    result = run(*command)
    assert result.exit_code == 2
    assert "--config" in result.stderr


def test_the_environment_may_name_the_settings(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIZHAN_HUB_CONFIG", str(config))
    assert document("audit", "verify")["ok"]


def test_a_database_that_was_never_set_up_says_what_to_do(tmp_path: Path) -> None:
    path = document("init", "--data-dir", tmp_path / "hub")["config"]
    result = run("token", "create", "--role", "viewer", "--config", path)
    assert result.exit_code == 1
    assert "cloud-hub db upgrade" in result.stderr


def test_a_database_that_does_not_answer_is_one_line(config: Path) -> None:
    port = free_port()
    text = config.read_text(encoding="utf-8")
    url = f'database_url = "postgresql+psycopg://yizhan@127.0.0.1:{port}/none"\n'
    config.write_text(text.replace("schema = 1\n", f"schema = 1\n{url}"), encoding="utf-8")
    result = run("audit", "verify", "--config", config)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "cannot be used" in result.stderr


def test_an_administrator_is_made_once_and_the_password_shown_once(config: Path) -> None:
    made = document("admin", "create", "--config", config)
    assert made["username"] == "admin"
    assert len(made["password"]) >= 12
    again = run("admin", "create", "--config", config)
    assert again.exit_code == 1
    assert "exists" in again.stderr


def test_a_password_may_come_by_standard_input(config: Path) -> None:
    result = run(
        "admin", "create", "--username", "lin", "--password-stdin", "--json", "--config", config,
        stdin="lantern-at-the-door\n",
    )  # fmt: skip
    assert json.loads(result.stdout) == {"username": "lin", "role": "administrator"}


def test_a_weak_password_is_bad_usage(config: Path) -> None:
    assert run("admin", "create", "--password-stdin", "--config", config, stdin="short\n").exit_code == 2


def test_a_token_needs_no_name(config: Path) -> None:
    assert document("token", "create", "--role", "operator", "--config", config)["token"]
    assert document("token", "create", "--role", "operator", "--config", config)["token"]


def test_a_station_is_added_once_and_faults_name_every_field(config: Path) -> None:
    public = document("key", "show", "--config", config)["public_key"]
    add = ["station", "add", STATION, "--name", "测试驿站", "--public-key", public, "--config", str(config)]
    assert document(*add) == {"id": STATION, "name": "测试驿站"}
    assert run(*add).exit_code == 1
    wrong = run("station", "add", "st/x", "--name", "x", "--public-key", "zz", "--config", config)
    assert wrong.exit_code == 2
    assert "id:" in wrong.stderr
    assert "public_key:" in wrong.stderr


def test_the_command_key_is_never_replaced(config: Path) -> None:
    before = document("key", "show", "--config", config)
    assert run("key", "create", "--config", config).exit_code == 1
    assert document("key", "show", "--config", config) == before


def test_a_missing_command_key_is_named(config: Path) -> None:
    (config.parent / "command.key").unlink()
    result = run("key", "show", "--config", config)
    assert result.exit_code == 1
    assert "command.key" in result.stderr


def test_an_audit_log_that_was_changed_is_a_failure(config: Path) -> None:
    document("token", "create", "--role", "viewer", "--config", config)
    head = document("audit", "verify", "--config", config)["head"]
    assert run("audit", "verify", "--head", head, "--config", config).exit_code == 0
    assert run("audit", "verify", "--head", f"9:{'0' * 64}", "--config", config).exit_code == 1
    assert run("audit", "verify", "--head", "nonsense", "--config", config).exit_code == 2


def test_a_backup_brings_everything_back(config: Path, tmp_path: Path) -> None:
    document("admin", "create", "--config", config)
    copy = tmp_path / "copy.db"
    document("backup", copy, "--config", config)
    document("token", "create", "--role", "viewer", "--config", config)
    document("restore", copy, "--config", config)
    assert document("audit", "verify", "--config", config)["entries"] == 1
    assert run("admin", "create", "--config", config).exit_code == 1


def test_a_backup_never_overwrites_and_leaves_nothing_half(config: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    document("backup", copy, "--config", config)
    assert run("backup", copy, "--config", config).exit_code == 1
    assert run("backup", tmp_path / "none" / "copy.db", "--config", config).exit_code == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["copy.db"]


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"\x00" * 5000])
def test_a_file_that_is_no_backup_replaces_nothing(config: Path, tmp_path: Path, content: bytes) -> None:
    document("admin", "create", "--config", config)
    copy = tmp_path / "copy.db"
    copy.write_bytes(content)
    assert run("restore", copy, "--config", config).exit_code == 1
    assert document("audit", "verify", "--config", config)["entries"] == 1


@pytest.mark.postgres
def test_a_backup_of_postgresql_brings_everything_back(
    config: Path, tmp_path: Path, postgres_url: str
) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace("schema = 1\n", f'schema = 1\ndatabase_url = "{postgres_url}"\n'), encoding="utf-8"
    )
    document("db", "upgrade", "--config", config)
    document("admin", "create", "--config", config)
    copy = tmp_path / "copy.sql"
    document("backup", copy, "--config", config)
    document("token", "create", "--role", "viewer", "--config", config)
    document("restore", copy, "--config", config)
    assert document("audit", "verify", "--config", config)["entries"] == 1
    copy.write_text("DROP TABLE station;", encoding="utf-8")
    assert run("restore", copy, "--config", config).exit_code == 1


def test_a_bridge_without_a_broker_says_so_and_ends(config: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "bridge", "--config", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "cloud-hub: broker 127.0.0.1" in done.stderr.splitlines()[-1]


EMBEDDED = pytest.mark.parametrize("make_broker", ["iotcore"], indirect=True)


@pytest.fixture
def serving(tmp_path: Path, make_broker: MakeBroker) -> Any:
    broker = make_broker({"hub": "secret"})
    port = free_port()
    made = document(
        "init", "--data-dir", tmp_path / "hub", "--no-tls", "--broker-port", broker.port, "--port", port
    )
    config = Path(made["config"])
    (config.parent / "broker.password").write_text("secret\n", encoding="utf-8")
    text = config.read_text(encoding="utf-8")
    text = text.replace('# username = "bridge"', 'username = "hub"').replace(
        "# password_file", "password_file"
    )
    config.write_text(text, encoding="utf-8")
    document("db", "upgrade", "--config", config)
    log = config.parent / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([PROGRAM, "serve", "--config", config], stdout=file, stderr=file)
    yield process, port, config, log
    if process.poll() is None:
        process.terminate()
        process.wait(30)


@EMBEDDED
def test_serve_keeps_both_parts_alive_and_stops_them_together(serving: Any) -> None:
    process, port, _config, log = serving
    wait_for(lambda: ready(port), within_s=40, what=f"readiness; {log.read_text()}")
    bridge = child(process.pid, "bridge")
    os.kill(bridge, signal.SIGKILL)
    wait_for(lambda: child(process.pid, "bridge") not in {0, bridge}, within_s=20, what="a new bridge")
    children = [child(process.pid, name) for name in ("bridge", "web")]
    process.terminate()
    assert process.wait(30) == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


@EMBEDDED
def test_parts_do_not_outlive_a_supervisor_that_was_killed(serving: Any) -> None:
    process, port, _config, _log = serving
    wait_for(lambda: ready(port), within_s=40)
    children = [child(process.pid, name) for name in ("bridge", "web")]
    process.kill()
    process.wait(10)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), within_s=20)


@EMBEDDED
def test_a_busy_port_is_one_line_and_exit_code_1(serving: Any) -> None:
    process, port, config, _log = serving
    wait_for(lambda: ready(port), within_s=40)
    done = subprocess.run(
        [PROGRAM, "web", "--config", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert str(port) in done.stderr.splitlines()[-1]
    assert process.poll() is None
    refused = run("restore", config, "--config", config)
    assert refused.exit_code == 1
    assert "stop it first" in refused.stderr


def ready(port: int) -> bool:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        link.request("GET", "/readyz")
        return link.getresponse().status == 200
    except OSError:
        time.sleep(0.1)
        return False
    finally:
        link.close()


def child(parent: int, name: str) -> int:
    """Process id of the supervisor's child of this name, 0 when there is none."""
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if name.encode() in words:
            return int(pid)
    return 0
