"""The station file and the hardware profile: what is accepted, and how faults are told."""

from pathlib import Path

import pytest

from firmware_config.load import ConfigError
from firmware_config.profiles import load_profile, shipped_profiles
from firmware_config.station import load_station
from tests.support.stations import new_hub_key, write_station


@pytest.fixture
def station_file(tmp_path: Path) -> Path:
    _, public = new_hub_key(tmp_path)
    path, _ = write_station(tmp_path, hub_public=public)
    return path


def change(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_good_file_loads_with_its_profile_and_defaults(station_file: Path) -> None:
    station = load_station(station_file)
    assert station.config.doors[0].unlocked_s == 5.0
    assert station.profile.doors[0].relay.pin == 17
    assert station.beside(station.config.data_dir) == station_file.parent / "data"


def test_every_fault_is_told_in_one_message_with_file_and_key(station_file: Path) -> None:
    change(station_file, 'lock = "fail_secure"', "unlocked_s = 99\nunlock_s = 3")
    change(station_file, "capacity = 4", "capacity = 0")
    change(station_file, 'time_zone = "Asia/Shanghai"', 'time_zone = "Peking"')
    with pytest.raises(ConfigError) as caught:
        load_station(station_file)
    assert str(station_file) in str(caught.value)
    told = {fault.split(":")[0] for fault in caught.value.faults}
    assert told == {
        "doors[0].lock",
        "doors[0].unlocked_s",
        "doors[0].unlock_s",
        "occupancy.capacity",
        "time_zone",
    }


def test_the_kind_of_lock_has_no_default(station_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"doors\[0\]\.lock: Field required"):
        load_station(change(station_file, 'lock = "fail_secure"', ""))


def test_liveness_must_be_written_out(station_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"face\.liveness: Field required"):
        load_station(change(station_file, 'liveness = "off"', ""))


PASSIVE = '[face.passive]\nmodel = "liveness.onnx"\nmanifest = "liveness.toml"\nsha256 = "' + "a" * 64 + '"\n'
ACTIVE = "[face.active]\nsteps = 3\nlimit_s = 5.0\n"


@pytest.mark.parametrize(
    ("mode", "sections"),
    [("passive", PASSIVE), ("active", ""), ("active", ACTIVE), ("both", PASSIVE), ("both", PASSIVE + ACTIVE)],
)
def test_a_mode_of_liveness_comes_with_the_parts_it_uses(
    station_file: Path, mode: str, sections: str
) -> None:
    face = load_station(
        change(station_file, 'liveness = "off"\n', f'liveness = "{mode}"\n{sections}')
    ).config.face
    assert (face.liveness, face.passive is None, face.active is None) == (
        mode,
        PASSIVE not in sections,
        ACTIVE not in sections,
    )


@pytest.mark.parametrize(
    ("face", "told"),
    [
        ('liveness = "passive"', r'face: `liveness = "passive"` needs \[face\.passive\]'),
        ('liveness = "both"\n' + ACTIVE, r'face: `liveness = "both"` needs \[face\.passive\]'),
        ('liveness = "off"\n' + PASSIVE, r"face: \[face\.passive\] is not used by"),
        ('liveness = "passive"\n' + PASSIVE + ACTIVE, r"face: \[face\.active\] is not used by"),
        ('liveness = "sometimes"', r"face\.liveness: Input should be 'off', 'passive', 'active' or 'both'"),
        ('liveness = "active"\n[face.active]\nsteps = 1', r"face\.active\.steps: "),
        ('liveness = "active"\n[face.active]\nlimit_s = 6.5', r"face\.active\.limit_s: "),
        ('liveness = "active"\nengine = "face-recognition"', r"face: .* needs the engine opencv"),
        ('liveness = "passive"\n' + PASSIVE.replace("a" * 64, "a"), r"face\.passive\.sha256: "),
    ],
)
def test_a_fault_in_liveness_is_told_with_its_key(station_file: Path, face: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_station(change(station_file, 'liveness = "off"', face))


def test_clear_text_is_refused_beyond_this_machine(station_file: Path) -> None:
    with pytest.raises(ConfigError, match="broker: `tls = false` is for a broker on this machine"):
        load_station(change(station_file, 'host = "127.0.0.1"', 'host = "broker.example"'))


def test_a_door_without_wires_is_refused(station_file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_station(change(station_file, 'id = "main"', 'id = "side"'))
    assert caught.value.faults == (
        "doors: 'side' is not wired in profile bench-fake",
        "doors: 'main' is wired in profile bench-fake but has no rules",
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(None, "cannot be read: No such file or directory", id="missing"),
        pytest.param(b"station = ", "is not TOML", id="not TOML"),
        pytest.param(b"\xff\xfe", "is not UTF-8 at byte 0", id="not UTF-8"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "station.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        load_station(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_is_sound(name: str, tmp_path: Path) -> None:
    assert load_profile(name, beside=tmp_path / "station.toml").doors


def profile_with(tmp_path: Path, door: str, rest: str = "") -> Path:
    (tmp_path / "own.toml").write_text(
        f'schema = 1\ntitle = "Own"\nboard = "pi4"\n[[doors]]\nid = "main"\n{door}\n{rest}', encoding="utf-8"
    )
    return tmp_path / "station.toml"


@pytest.mark.parametrize(
    ("door", "told"),
    [
        pytest.param(
            "relay = { pin = 4 }", "BCM 4 is high at reset, so an active-high relay", id="high at reset"
        ),
        pytest.param(
            "relay = { pin = 17, active_high = false }",
            "BCM 17 is low at reset, so an active-low relay",
            id="low at reset",
        ),
        pytest.param("relay = { pin = 2 }", "BCM 2 is taken: I2C data", id="I2C"),
        pytest.param("relay = { pin = 28 }", "less than or equal to 27", id="no such pin"),
        pytest.param(
            "relay = { pin = 22 }", r"pins used twice: BCM 22 \(main relay and main contact\)", id="twice"
        ),
    ],
)
def test_a_pin_that_would_open_the_door_by_itself_is_refused(tmp_path: Path, door: str, told: str) -> None:
    beside = profile_with(tmp_path, f"{door}\ncontact = {{ pin = 22 }}")
    with pytest.raises(ConfigError, match=told):
        load_profile("own.toml", beside=beside)


def test_a_camera_must_watch_a_door_that_exists(tmp_path: Path) -> None:
    beside = profile_with(
        tmp_path,
        "relay = { pin = 17 }\ncontact = { pin = 22 }",
        '[[cameras]]\nid = "entry"\nkind = "simulated"\ndoor = "side"\n',
    )
    with pytest.raises(ConfigError, match="camera entry watches door 'side'"):
        load_profile("own.toml", beside=beside)


def test_two_cameras_before_one_door_are_refused(tmp_path: Path) -> None:
    cameras = [f'[[cameras]]\nid = "{name}"\nkind = "simulated"\ndoor = "main"\n' for name in ("a", "b")]
    beside = profile_with(tmp_path, "relay = { pin = 17 }\ncontact = { pin = 22 }", "\n".join(cameras))
    with pytest.raises(ConfigError, match="more than one camera watches door main"):
        load_profile("own.toml", beside=beside)


def test_an_unknown_profile_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="no shipped profile 'pi3'; there are bench-fake, pi4-relay-a, pi5-relay-b"
    ):
        load_profile("pi3", beside=tmp_path / "station.toml")
