"""The command ``station-agent``. Loads the configuration, runs until SIGTERM, and releases every relay on the way out."""

import json
import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec

import click

from firmware_config import crashpoint
from firmware_config.load import ConfigError
from firmware_config.signing import encode_public, load_private_key, new_private_key
from firmware_config.station import Station, StationConfig, load_station
from firmware_config.turns import take_short_turns
from station_agent import log
from station_agent.errors import AgentError

BAD_CONFIGURATION: Final = 2
FAILED: Final = 1

_LOG = logging.getLogger(__name__)

P = ParamSpec("P")
ConfigPath = click.Path(path_type=Path, dir_okay=False)


def _telling_faults(command: Callable[P, None]) -> Callable[P, None]:
    """Exit 2 with every fault of a configuration, 1 with what else went wrong."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ConfigError as error:
            click.echo(str(error), err=True)
            sys.exit(BAD_CONFIGURATION)
        except (AgentError, OSError) as error:
            click.echo(f"station-agent: {error}", err=True)
            sys.exit(FAILED)

    return told


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="yizhan")
def main() -> None:
    """Runs one worker service station: door, face entry, sensors, and the link to the hub."""


@main.command()
@click.option("--config", "config", required=True, type=ConfigPath, help="Station file.")
@click.option("--simulate", is_flag=True, help="Simulated wires and camera instead of real ones.")
@click.option(
    "--trace", type=ConfigPath, help="With --simulate: write every edge of every wire to this file."
)
@click.option("--control", type=ConfigPath, help="With --simulate: socket that acts as the world outside.")
@click.option("--synced", is_flag=True, help="With --simulate: take this machine's clock for synchronised.")
@click.option("--verbose", is_flag=True, help="Log what is only of interest when something is wrong.")
@_telling_faults
def run(
    *,
    config: Path,
    simulate: bool,
    trace: Path | None,
    control: Path | None,
    synced: bool,
    verbose: bool,
) -> None:
    """Run the station until SIGTERM."""
    from station_agent.wiring import run_station  # noqa: PLC0415 (loads OpenCV: the other commands need none)

    if (trace or control or synced) and not simulate:
        message = "--trace, --control and --synced act on a simulated world: they need --simulate"
        raise click.UsageError(message)
    log.set_up(verbose=verbose)
    if crashpoint.arm(os.environ.get(crashpoint.VARIABLE)):
        _LOG.critical("armed_to_die", extra={"at": os.environ[crashpoint.VARIABLE]})
    take_short_turns()
    run_station(load_station(config), simulate=simulate, trace=trace, control=control, synced=synced)


@main.command("check-config")
@click.argument("config", type=ConfigPath)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def check_config(*, config: Path, as_json: bool) -> None:
    """Check a station file and the hardware profile it names."""
    try:
        station = load_station(config)
    except ConfigError as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "file": str(error.path), "faults": error.faults}))
        else:
            click.echo(str(error), err=True)
        sys.exit(BAD_CONFIGURATION)
    summary = _summary(station)
    click.echo(json.dumps({"ok": True, **summary}, ensure_ascii=False) if as_json else _lines(summary))


@main.command()
@click.option("--config", "config", required=True, type=ConfigPath, help="Station file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@_telling_faults
def doctor(*, config: Path, as_json: bool) -> None:
    """Check everything the station needs, on this machine, now."""
    from station_agent.doctor import examine  # noqa: PLC0415 (loads OpenCV)

    findings = examine(load_station(config))
    if as_json:
        click.echo(
            json.dumps({"ok": all(item.ok for item in findings), "checks": [item.row() for item in findings]})
        )
    else:
        for item in findings:
            click.echo(f"{'ok  ' if item.ok else 'FAIL'}  {item.name}: {item.detail}")
    if not all(item.ok for item in findings):
        sys.exit(FAILED)


@main.command()
@click.option("--config", "config", required=True, type=ConfigPath, help="Station file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@_telling_faults
def provision(*, config: Path, as_json: bool) -> None:
    """Make this station's signing key, if it has none, and print its public half for the hub."""
    station = load_station(config)
    path = station.beside(station.config.signing_key_file)
    try:
        key = load_private_key(path) if path.exists() else new_private_key(path)
    except ValueError as error:
        raise ConfigError(path, [f"signing_key_file: {error}"]) from error
    public = encode_public(key.public_key())
    found = {"station": station.config.station, "public": public}
    click.echo(json.dumps(found) if as_json else f"station {found['station']}\npublic key {public}")


@main.group()
def bench() -> None:
    """Measure this machine."""


@bench.command("faces")
@click.option(
    "--dataset",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="One sub-folder of pictures per person.",
)
@click.option(
    "--engine", type=click.Choice(["opencv", "face-recognition"]), default="opencv", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@_telling_faults
def bench_faces(*, dataset: Path, engine: str, as_json: bool) -> None:
    """Verification rates and times of a face engine on a folder of pictures."""
    from station_agent.bench import faces  # noqa: PLC0415 (loads OpenCV or dlib)

    report = faces.run(dataset, engine)
    click.echo(json.dumps(report) if as_json else faces.format_table([report]))


@bench.command("identify")
@click.option(
    "--dataset",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="One sub-folder of pictures per person, two or more pictures each.",
)
@click.option(
    "--engine", type=click.Choice(["opencv", "face-recognition"]), default="opencv", show_default=True
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=click.IntRange(min=2),
    default=(50, 200, 1000, 5000),
    show_default=True,
    help="People enrolled; may be given several times.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--visits", type=click.IntRange(min=20), default=400, show_default=True, help="Sample a larger set."
)
@click.option("--record", "record_to", type=ConfigPath, help="Write what a threshold is derived from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@_telling_faults
def bench_identify(
    *,
    dataset: Path,
    engine: str,
    sizes: tuple[int, ...],
    seed: int,
    visits: int,
    record_to: Path | None,
    as_json: bool,
) -> None:
    """False entries and false denials per visit by the number of people enrolled."""
    from station_agent.bench import identification  # noqa: PLC0415 (loads OpenCV or dlib)

    report = identification.run(dataset, engine, sizes, seed, visits=visits, record_to=record_to)
    click.echo(json.dumps(report) if as_json else identification.format_table(report))


@bench.command("pad")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--model", type=ConfigPath, help="ONNX file of the passive network; cues and challenge alone without one."
)
@click.option("--manifest", type=ConfigPath, help="The TOML file about it.")
@click.option(
    "--person", "people", multiple=True, help="Use this sub-folder only; may be given several times."
)
@click.option(
    "--renderings",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of each picture and species.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Of each species at the challenge.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@_telling_faults
def bench_pad(
    *,
    dataset: Path,
    model: Path | None,
    manifest: Path | None,
    people: tuple[str, ...],
    renderings: int,
    attempts: int,
    seed: int,
    as_json: bool,
) -> None:
    """Attacks rendered from DATASET, one sub-folder of pictures per person: taken for live, and live refused."""
    from station_agent.bench import pad  # noqa: PLC0415 (loads OpenCV)

    if (model is None) != (manifest is None):
        message = "--model and --manifest go together"
        raise click.UsageError(message)
    report = pad.run(
        dataset,
        model=model,
        manifest=manifest,
        people=people or None,
        renderings=renderings,
        attempts=attempts,
        seed=seed,
    )
    click.echo(json.dumps(report) if as_json else pad.format_table(report))


def _summary(station: Station) -> dict[str, Any]:
    config, profile = station.config, station.profile
    return {
        "station": config.station,
        "name": config.name,
        "profile": profile.title,
        "doors": [door.id for door in config.doors],
        "cameras": [camera.id for camera in profile.cameras],
        "sensors": [sensor.name for sensor in profile.sensors],
        "broker": f"{config.broker.host}:{config.broker.port}",
        "liveness": config.face.liveness,
        "kiosk": _kiosk(config),
        "storage": _storage(config),
    }


def _kiosk(config: StationConfig) -> str:
    if not config.kiosk.enabled:
        return "off"
    return f"door {config.kiosk_door}, 127.0.0.1:{config.kiosk.port or 'any free port'}"


def _storage(config: StationConfig) -> str:
    storage = config.storage
    return (
        f"{storage.ballast_mb} MiB reserve, {storage.event_rows} events and {storage.reading_rows} readings may wait, "
        f"{storage.wear_mb_day} MB a day"
    )


def _lines(summary: dict[str, Any]) -> str:
    return "\n".join(
        f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in summary.items()
    )


if __name__ == "__main__":
    main()
