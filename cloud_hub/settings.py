"""The hub's configuration file. Secrets are named by file, never written into it or into the environment."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from firmware_config.load import ConfigError, Section, load
from firmware_config.units import Port, Text
from firmware_config.wire import Verb

CONFIG_VARIABLE = "YIZHAN_HUB_CONFIG"
"""Names the configuration file where ``--config`` does not."""


class WebSettings(Section):
    """The web process.

    Attributes:
        host: address to listen on; loopback unless a proxy stands in front on another machine.
        secret_key_file: at least 32 random bytes; signs cookies and CSRF tokens.
        threads: blocking threads; each open live stream holds one, so allow for the streams.
        live_streams: most live streams at once; one more is answered 503.
        secure_cookies: cookies over HTTPS only. Off only for plain HTTP on loopback.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    secret_key_file: Path
    threads: Annotated[int, Field(ge=4, le=512)] = 256
    live_streams: Annotated[int, Field(ge=1, le=500)] = 200
    secure_cookies: bool = True


class BrokerSettings(Section):
    """The bridge's way to the broker."""

    host: Text
    port: Port = 8883
    tls: bool = True
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None


class OrderSettings(Section):
    """Remote orders.

    Attributes:
        command_key_file: Ed25519 private key that signs orders; only the bridge reads it.
        pulse_ms: length of an ordinary pulse.
        step_up_s: a person gives an order only this long after giving the password (safety.md W4).
        two_person: verbs that a second person must approve (safety.md W11); none unless named.
    """

    command_key_file: Path
    pulse_ms: Annotated[int, Field(ge=500, le=10_000)] = 5_000
    step_up_s: Annotated[int, Field(ge=30, le=300)] = 300
    two_person: frozenset[Verb] = frozenset()


class PassSettings(Section):
    """QR passes.

    Attributes:
        key_file: Ed25519 private key that signs passes, and nothing else; the web process reads it.
        former_keys: public keys, base64, whose passes still count until they run out.
    """

    key_file: Path
    former_keys: Annotated[tuple[str, ...], Field(max_length=3)] = ()


class PresenceSettings(Section):
    """When a silent station is called offline, and when somebody is told.

    Attributes:
        lease_s: without a heartbeat for this long a station is offline.
        silent_alert_s: offline for this long raises the alert.
        start_grace_s: after a start of the bridge, or a new connection to the broker, nobody is called silent for this
            long: a station that lost the same broker may wait 30 s before it tries again.
    """

    lease_s: Annotated[float, Field(ge=2, le=300)] = 15.0
    silent_alert_s: Annotated[float, Field(ge=1, le=3600)] = 15.0
    start_grace_s: Annotated[float, Field(ge=0, le=600)] = 45.0


class HubSettings(Section):
    """The hub.

    Attributes:
        data_dir: default database, bells and metrics live here.
        database_url: SQLAlchemy address without password, ``sqlite:///…`` or ``postgresql+psycopg://…``; a SQLite
            database in ``data_dir`` when absent.
        database_password_file: password for ``database_url``.
        passes: none are made without it.
        language: of pages before a person has chosen.
        stage_url: address of the demo's stage page; only the demo sets it.
    """

    schema_version: Literal[1] = Field(alias="schema")
    data_dir: Path
    database_url: str | None = None
    database_password_file: Path | None = None
    language: Literal["zh_CN", "en"] = "zh_CN"
    web: WebSettings
    broker: BrokerSettings
    orders: OrderSettings
    presence: PresenceSettings = PresenceSettings()
    passes: PassSettings | None = None
    stage_url: str | None = None


class Hub(Section):
    """Settings, and the file they came from: its relative paths are relative to its folder."""

    path: Path
    settings: HubSettings

    def beside(self, path: Path) -> Path:
        """Resolve a path of the settings file."""
        return path if path.is_absolute() else self.path.parent / path

    @property
    def data_dir(self) -> Path:
        """Absolute data folder."""
        return self.beside(self.settings.data_dir)

    @property
    def database_url(self) -> str:
        """Address of the database."""
        return self.settings.database_url or f"sqlite:///{self.data_dir / 'hub.db'}"


def load_hub(path: Path | None) -> Hub:
    """Load the settings file given, or the one the environment names.

    Raises:
        ConfigError: no file named, or with every fault in it.
    """
    if path is None:
        if not (named := os.environ.get(CONFIG_VARIABLE)):
            raise ConfigError(Path("hub.toml"), [f"no file given: use --config or set {CONFIG_VARIABLE}"])
        path = Path(named)
    return Hub(path=path.absolute(), settings=load(path, HubSettings))
