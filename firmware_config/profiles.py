"""Hardware profile: what is wired to which pin of which board. One file per kind of station, shared by many stations."""

from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from firmware_config.load import ConfigError, Section, load
from firmware_config.pins import FreePin, relay_pin_fault
from firmware_config.units import Name, Text

Board = Literal["pi4", "pi5", "bench"]


class DigitalInput(Section):
    """A switch on a pin.

    Attributes:
        pin: BCM number.
        active_low: the input is active when the pin reads low (a switch to ground).
        pull: bias resistor; ``none`` only with one on the board.
        debounce_ms: an edge counts once the level has held this long.
    """

    pin: FreePin
    active_low: bool = True
    pull: Literal["up", "down", "none"] = "up"
    debounce_ms: Annotated[int, Field(ge=1, le=500)] = 50


class RelayOutput(Section):
    """A relay or siren driver on a pin; the idle level is the safe side.

    Attributes:
        pin: BCM number.
        active_high: the coil is energised by a high level.
    """

    pin: FreePin
    active_high: bool = True

    @model_validator(mode="after")
    def idle_at_reset(self) -> Self:
        """Refuse a pin whose level at reset would energise the coil."""
        if fault := relay_pin_fault(self.pin, active_high=self.active_high):
            raise ValueError(fault)
        return self


class DoorWiring(Section):
    """The wires of one door.

    Attributes:
        id: name of the door, the same as in the station file.
        relay: lock relay, energised to unlock.
        contact: door contact, active when the door is *open*.
        exit: exit button; it also acts on the lock in hardware, the agent only adds to it.
        buzzer: warns the person at the door before it counts as held open.
    """

    id: Name
    relay: RelayOutput
    contact: DigitalInput
    exit: DigitalInput | None = None
    buzzer: RelayOutput | None = None


class CameraWiring(Section):
    """Where frames come from.

    Attributes:
        id: name of the camera.
        kind: ``usb`` (V4L2 by OpenCV), ``rtsp``, ``picamera2`` (CSI), ``folder`` or ``video`` (replay), ``simulated``.
        source: device path, address, folder or file; empty for ``picamera2`` and ``simulated``.
        door: the door whose entry this camera watches.
        width_px: requested frame width.
        height_px: requested frame height.
        fps: frames a second asked of the source.
    """

    id: Name
    kind: Literal["usb", "rtsp", "picamera2", "folder", "video", "simulated"]
    source: str = ""
    door: Name
    width_px: Annotated[int, Field(ge=160, le=4096)] = 1280
    height_px: Annotated[int, Field(ge=120, le=2160)] = 720
    fps: Annotated[float, Field(gt=0, le=60)] = 15.0

    @model_validator(mode="after")
    def source_where_needed(self) -> Self:
        """A kind that reads from somewhere must say where."""
        if self.kind in {"usb", "rtsp", "folder", "video"} and not self.source:
            message = f"a {self.kind} camera needs `source`"
            raise ValueError(message)
        return self


class Sensor(Section):
    """An analogue quantity.

    Attributes:
        name: name in telemetry, for example ``temperature``.
        kind: ``iio`` (kernel sensor by sysfs), ``onewire`` or ``simulated``.
        source: sysfs path; empty for ``simulated``.
        unit: unit of the reading, for example ``C``.
        scale: reading = raw x scale + offset.
        offset: see ``scale``, in ``unit``.
        low: below it the hub is warned, in ``unit``.
        high: above it the hub is warned, in ``unit``.
        period_s: time between readings.
    """

    name: Name
    kind: Literal["iio", "onewire", "simulated"]
    source: str = ""
    unit: Annotated[str, Field(min_length=1, max_length=12)]
    scale: float = 1.0
    offset: float = 0.0
    low: float
    high: float
    period_s: Annotated[float, Field(ge=1, le=3600)] = 30.0

    @model_validator(mode="after")
    def low_below_high(self) -> Self:
        """An empty range would warn for ever."""
        if self.low >= self.high:
            message = f"`low` ({self.low}) must be below `high` ({self.high})"
            raise ValueError(message)
        return self


class HardwareProfile(Section):
    """Everything wired to one kind of station.

    Attributes:
        board: kind of computer; ``bench`` has no pins and only runs simulated.
        doors: at least one.
        cameras: may be empty: a station without a camera is entered by the face-free ways.
        fire: dry contact of the fire panel; it also cuts lock power in hardware (safety.md S2).
        tamper: switch of the case.
        mains: active while mains power is present (UPS signal).
        siren: local siren.
    """

    schema_version: Literal[1] = Field(alias="schema")
    title: Text
    board: Board
    doors: Annotated[list[DoorWiring], Field(min_length=1, max_length=8)]
    cameras: Annotated[list[CameraWiring], Field(max_length=8, default_factory=list)]
    sensors: Annotated[list[Sensor], Field(max_length=64, default_factory=list)]
    fire: DigitalInput | None = None
    tamper: DigitalInput | None = None
    mains: DigitalInput | None = None
    siren: RelayOutput | None = None

    @model_validator(mode="after")
    def each_pin_once(self) -> Self:
        """Two functions on one pin is a wiring fault."""
        uses: Counter[int] = Counter(pin for _, pin in self._pins())
        if doubled := sorted(pin for pin, count in uses.items() if count > 1):
            where = ", ".join(
                f"BCM {pin} ({' and '.join(use for use, used in self._pins() if used == pin)})"
                for pin in doubled
            )
            message = f"pins used twice: {where}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def names_once_and_known(self) -> Self:
        """Names are unique, and every camera watches a door that exists."""
        doors = [door.id for door in self.doors]
        for what, names in (
            ("door", doors),
            ("camera", [camera.id for camera in self.cameras]),
            ("sensor", [sensor.name for sensor in self.sensors]),
        ):
            if doubled := [name for name, count in Counter(names).items() if count > 1]:
                message = f"{what} named twice: {', '.join(doubled)}"
                raise ValueError(message)
        for camera in self.cameras:
            if camera.door not in doors:
                message = (
                    f"camera {camera.id} watches door {camera.door!r}, which is not among {', '.join(doors)}"
                )
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def one_camera_a_door(self) -> Self:
        """Each camera tells its own visit: two before one door would end each other's all the time."""
        if doubled := [
            door for door, count in Counter(camera.door for camera in self.cameras).items() if count > 1
        ]:
            message = f"more than one camera watches door {', '.join(doubled)}"
            raise ValueError(message)
        return self

    def _pins(self) -> list[tuple[str, int]]:
        pins = []
        for door in self.doors:
            pins += [(f"{door.id} relay", door.relay.pin), (f"{door.id} contact", door.contact.pin)]
            if door.exit:
                pins.append((f"{door.id} exit", door.exit.pin))
            if door.buzzer:
                pins.append((f"{door.id} buzzer", door.buzzer.pin))
        for use in ("fire", "tamper", "mains", "siren"):
            if wired := getattr(self, use):
                pins.append((use, wired.pin))
        return pins


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the project."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files("firmware_config").joinpath("profiles").iterdir()
        if entry.name.endswith(".toml")
    )


def load_profile(name_or_path: str, *, beside: Path) -> HardwareProfile:
    """Load a shipped profile by name, or a file by its path relative to the station file.

    Raises:
        ConfigError: no such profile, or a fault in it.
    """
    if name_or_path.endswith(".toml"):
        return load(beside.parent / name_or_path, HardwareProfile)
    if name_or_path not in shipped_profiles():
        raise ConfigError(
            beside,
            [f"profile: no shipped profile {name_or_path!r}; there are {', '.join(shipped_profiles())}"],
        )
    with resources.as_file(
        resources.files("firmware_config").joinpath("profiles", f"{name_or_path}.toml")
    ) as path:
        return load(path, HardwareProfile)
