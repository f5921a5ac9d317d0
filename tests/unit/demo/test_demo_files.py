import stat
import tomllib
from pathlib import Path

import pytest

from cloud_hub.demo import broker, warden
from cloud_hub.demo.errors import DemoError
from cloud_hub.demo.files import Table, toml, write_private
from cloud_hub.demo.layout import SOCKET_PATH_LIMIT, open_layout
from cloud_hub.demo.stations import name_stations, write_station
from firmware_config.station import load_station

KEY = "A" * 43 + "="


def test_a_table_survives_the_way_through_toml() -> None:
    rows: list[Table] = [{"id": "main", "on": True}, {"id": "back", "on": False}]
    table: Table = {
        "name": '驿站 "一"\\\n',
        "count": 3,
        "ratio": 0.5,
        "inner": {"deep": {"x": 1}},
        "doors": rows,
    }
    assert tomllib.loads(toml(table)) == table


def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_private(tmp_path / "deep" / "secret", "word")
    assert stat.S_IMODE((tmp_path / "deep" / "secret").stat().st_mode) == 0o600
    assert (tmp_path / "deep" / "secret").read_text() == "word"


def test_writing_a_secret_again_leaves_no_other_file(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "old and longer")
    write_private(tmp_path / "secret", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").read_text() == "new"


def test_the_broker_listens_on_loopback_and_asks_everybody_for_a_password(tmp_path: Path) -> None:
    accounts = {"bridge": "one", "st-demo0001": "two"}
    command = broker.prepare("embedded", tmp_path, port=1234, accounts=accounts)
    written = tomllib.loads(Path(command[-1]).read_text())
    assert written["v5"]["1"]["listen"] == "127.0.0.1:1234"
    assert written["v5"]["1"]["connections"]["auth"] == {"bridge": "one", "st-demo0001": "two"}


def test_a_station_file_is_accepted_by_the_station(tmp_path: Path) -> None:
    with open_layout(tmp_path) as layout:
        (station,) = name_stations(layout, [4711])
        write_station(station, broker_port=1884, password="word", command_key=KEY)
    config = load_station(station.config).config
    assert (config.station, config.face.liveness, config.occupancy.capacity) == ("st-demo0001", "off", 12)
    assert (config.kiosk.enabled, config.kiosk.port) == (True, 4711)
    assert (config.broker.tls, config.broker.heartbeat_s, config.doors[0].lock) == (False, 2.0, "fail_secure")


def test_every_station_has_a_name_of_its_own(tmp_path: Path) -> None:
    with open_layout(tmp_path) as layout:
        named = name_stations(layout, range(4711, 4731))
    assert len({station.name for station in named}) == len({station.id for station in named}) == 20


def test_a_folder_serves_one_demo_at_a_time(tmp_path: Path) -> None:
    with open_layout(tmp_path), pytest.raises(DemoError, match="used by another demo"), open_layout(tmp_path):
        pass
    with open_layout(tmp_path):
        pass


def test_a_folder_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DemoError, match="file: "), open_layout(tmp_path / "file"):
        pass


@pytest.mark.parametrize("depth", [0, 12])
def test_sockets_have_short_paths_however_deep_the_folder(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["a-rather-long-name"] * depth)
    with open_layout(folder) as layout:
        assert len(str(layout.control_socket("st-demo0001"))) <= SOCKET_PATH_LIMIT
        runtime = layout.runtime
        assert runtime.is_dir()
    assert not runtime.exists()


def test_the_warden_kills_only_what_has_not_ended() -> None:
    assert warden.watch(["+12\n", "+13\n", "-12\n", "nonsense\n", "+14\n"]) == {13, 14}
