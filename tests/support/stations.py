"""A station file as an installer would write it, and variations of it."""

from pathlib import Path

from firmware_config.signing import Signer, encode_public, new_private_key

TEMPLATE = """\
schema = 1
station = "{station}"
name = "Test station"
time_zone = "Asia/Shanghai"
data_dir = "data"
profile = "bench-fake"
signing_key_file = "station.pem"

[hub]
command_keys = [{{ public = "{hub_public}" }}]

[broker]
host = "127.0.0.1"
port = {port}
tls = false
username = "{station}"
password_file = "broker.password"
heartbeat_s = 0.5

[[doors]]
id = "main"
lock = "fail_secure"
{door}

[face]
liveness = "off"

[occupancy]
capacity = 4

[access]
without_roster = "enrolled"
"""


def write_station(
    folder: Path,
    *,
    station: str = "st-test0001",
    hub_public: str,
    port: int = 1883,
    password: str = "secret",  # noqa: S107 (of a test broker)
    door: str = "",
    kiosk: str | None = None,
) -> tuple[Path, Signer]:
    """Write station file, signing key and broker password; return the file and the station's signer.

    A text for ``kiosk``, even an empty one, asks for a kiosk and says more about it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "station.toml"
    path.write_text(
        TEMPLATE.format(station=station, hub_public=hub_public, port=port, door=door), encoding="utf-8"
    )
    if kiosk is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n[kiosk]\nenabled = true\n{kiosk}\n")
    (folder / "broker.password").write_text(password + "\n", encoding="utf-8")
    return path, Signer(new_private_key(folder / "station.pem"))


def new_hub_key(folder: Path) -> tuple[Signer, str]:
    """A hub's command key, and its public half as configuration wants it."""
    signer = Signer(new_private_key(folder / "hub.pem"))
    return signer, encode_public(signer.public)
