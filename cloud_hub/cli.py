"""``cloud-hub``: every command of the hub. Results on standard output, words about them on standard error.

Exit codes: 0 done; 1 it failed, one line says why; 2 bad usage or settings, with every fault.
"""

import logging
import os
from pathlib import Path
from typing import Any, Literal

import click
from sqlalchemy.exc import SQLAlchemyError

from cloud_hub import initial, log, metrics, migrations, serving
from cloud_hub.administration import COMMANDS, answer, with_config, with_json
from cloud_hub.errors import CallerError, HubError, Invalid
from cloud_hub.settings import Hub
from firmware_config import crashpoint
from firmware_config.load import ConfigError
from firmware_config.turns import take_short_turns

_LOG = logging.getLogger(__name__)


class _Commands(click.Group):
    """Turns the hub's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _fail(ctx, str(error), 2)
        except CallerError as error:
            _fail(ctx, error.detail, 2 if isinstance(error, Invalid) else 1)
        except HubError as error:
            _fail(ctx, str(error), 1)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            _fail(ctx, f"database: {reason}", 1)
        except OSError as error:
            _fail(ctx, f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def _fail(ctx: click.Context, message: str, code: int) -> None:
    click.echo(f"cloud-hub: {message}", err=True)
    ctx.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="yizhan", prog_name="cloud-hub")
def main() -> None:
    """Yizhan's hub: console, API, and the bridge to the stations."""


@main.command()
@with_config
def serve(hub: Hub) -> None:
    """Run web and bridge until SIGTERM; start again what dies."""
    log.set_up("serve")
    metrics.prepare(hub.data_dir)
    metrics.clear(hub.data_dir)
    click.get_current_context().exit(serving.serve(hub.path))


@main.command()
@with_config
@click.option("--supervisor", type=int, hidden=True)
def web(hub: Hub, supervisor: int | None) -> None:
    """Run the web process until SIGTERM."""
    _begin(hub, supervisor)
    log.set_up("web")
    _arm()
    metrics.prepare(hub.data_dir)
    migrations.open_engine(hub).dispose()
    from cloud_hub import web_server  # noqa: PLC0415 (counters look for their folder when imported)

    web_server.run(hub)


@main.command()
@with_config
@click.option("--supervisor", type=int, hidden=True)
def bridge(hub: Hub, supervisor: int | None) -> None:
    """Run the bridge to the broker until SIGTERM."""
    _begin(hub, supervisor)
    log.set_up("bridge")
    _arm()
    take_short_turns()
    metrics.prepare(hub.data_dir)
    from cloud_hub.bridge import service  # noqa: PLC0415 (counters look for their folder when imported)

    service.run(hub)


def _begin(hub: Hub, supervisor: int | None) -> None:
    if supervisor is not None:
        serving.end_with(supervisor)
    hub.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def _arm() -> None:
    """For the fault campaign: die at a named place. The web process's worker inherits it."""
    if crashpoint.arm(os.environ.get(crashpoint.VARIABLE)):
        _LOG.critical("armed to die", extra={"at": os.environ[crashpoint.VARIABLE]})


@main.command()
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=8080, show_default=True, help="Of the console."
)
@click.option("--broker-host", default="127.0.0.1", show_default=True)
@click.option("--broker-port", type=click.IntRange(1, 65_535), default=8883, show_default=True)
@click.option("--tls/--no-tls", default=True, show_default=True, help="To the broker.")
@with_json
def init(data_dir: Path, port: int, broker_host: str, broker_port: int, *, tls: bool, as_json: bool) -> None:
    """Write a settings file and fresh secrets into a folder."""
    path = initial.write(data_dir, port=port, broker_host=broker_host, broker_port=broker_port, tls=tls)
    answer(as_json, {"config": str(path)}, f"{path}; next: cloud-hub db upgrade --config {path}")


@main.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="Of the console; a usual free one without it.")
@click.option(
    "--data", "data_dir", type=click.Path(file_okay=False, path_type=Path), help="Everything is kept there."
)
@click.option("--stations", type=int, default=3, show_default=True)
@click.option(
    "--ready-file", type=click.Path(dir_okay=False, path_type=Path), help="Written when everything serves."
)
@click.option(
    "--broker",
    type=click.Choice(["embedded", "mosquitto"]),
    default="embedded",
    show_default=True,
    help="The machine's own Mosquitto instead of the embedded broker.",
)
@click.option("--database-url", help="For example postgresql+psycopg://…; a SQLite file without it.")
def demo(
    *,
    port: int | None,
    data_dir: Path | None,
    stations: int,
    ready_file: Path | None,
    broker: Literal["embedded", "mosquitto"],
    database_url: str | None,
) -> None:
    """Broker, hub and simulated stations with real faces, in one command."""
    from cloud_hub.demo import runner  # noqa: PLC0415 (needs packages that a hub in production does not have)

    click.get_current_context().exit(
        runner.run(
            port=port,
            data_dir=data_dir,
            stations=stations,
            ready_file=ready_file,
            backends=runner.Backends(broker=broker, database_url=database_url),
        )
    )


for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main()
