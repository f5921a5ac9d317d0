"""Commands that look after the hub's data: database, accounts, tokens, stations, keys, audit, copies."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from sqlalchemy.orm import Session

from cloud_hub import backup as copies
from cloud_hub import migrations
from cloud_hub.access import accounts, tokens
from cloud_hub.access import audit as chain
from cloud_hub.bell import BRIDGE, Ringer
from cloud_hub.db import make_engine, make_sessions, url_of, utc_now
from cloud_hub.errors import HubError
from cloud_hub.settings import CONFIG_VARIABLE, Hub, load_hub
from cloud_hub.stations import services
from firmware_config.signing import encode_public, load_private_key, new_private_key

F = TypeVar("F", bound=Callable[..., Any])
ACTOR: Final = "cli"
ROLES: Final = ("viewer", "operator", "administrator")


def with_config(command: F) -> F:
    """Give a command ``--config`` and, as ``hub``, what it holds."""

    def load(_ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Hub:
        return load_hub(value)

    option = click.option(
        "--config",
        "hub",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=load,
        help=f"Settings file; without it the one that {CONFIG_VARIABLE} names.",
    )
    return option(command)


def with_json(command: F) -> F:
    """Give a command ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(
        command
    )


def answer(as_json: bool, document: dict[str, Any], words: str) -> None:  # noqa: FBT001 (passed on from an option)
    """Print the result for a program or for a person."""
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else words)


@contextmanager
def transaction(hub: Hub, *, read_only: bool = False) -> Iterator[Session]:
    """One transaction on the hub's database, which must be of this release."""
    engine = migrations.open_engine(hub)
    try:
        with make_sessions(engine.execution_options(read_only=read_only)).begin() as session:
            yield session
    finally:
        engine.dispose()


@click.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
@with_config
@with_json
def db_upgrade(hub: Hub, *, as_json: bool) -> None:
    """Bring the database to this release; makes it when there is none."""
    hub.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = make_engine(url_of(hub))
    try:
        before = migrations.current(engine)
        migrations.upgrade(engine)
    finally:
        engine.dispose()
    after = migrations.head()
    answer(as_json, {"from": before, "to": after}, f"database at revision {after}")


@click.group()
def admin() -> None:
    """People who sign in to the console."""


@admin.command("create")
@with_config
@with_json
@click.option("--username", default="admin", show_default=True)
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="administrator",
    show_default=True,
)
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of making one."
)
def admin_create(hub: Hub, username: str, role: str, *, password_stdin: bool, as_json: bool) -> None:
    """Make an account; prints its password, once."""
    given = sys.stdin.readline().rstrip("\n") if password_stdin else None
    with transaction(hub) as session:
        password = accounts.create_user(session, username=username, role=role, now=utc_now(), password=given)
    document = {"username": username, "role": role, **({} if password_stdin else {"password": password})}
    answer(as_json, document, "\n".join(f"{key}: {value}" for key, value in document.items()))


@click.group()
def token() -> None:
    """Bearer tokens for programs."""


@token.command("create")
@with_config
@with_json
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", help="Shown in the audit log; made from the time without one.")
@click.option("--owner", help="Account it is made for; it counts as that person where two are needed.")
def token_create(hub: Hub, role: str, name: str | None, owner: str | None, *, as_json: bool) -> None:
    """Make a token; prints it, once."""
    now = utc_now()
    name = name or f"cli-{now:%Y%m%dT%H%M%S%f}"
    with transaction(hub) as session:
        secret = tokens.create(session, name=name, role=role, now=now, owner=owner)
    answer(as_json, {"name": name, "role": role, "token": secret}, secret)


@click.group()
def station() -> None:
    """Stations."""


@station.command("add")
@click.argument("station_id", metavar="ID")
@with_config
@with_json
@click.option("--name", required=True, help="Shown to people.")
@click.option("--public-key", required=True, help="What station-agent provision printed, base64.")
@click.option("--region", default="", help="Shown to people.")
@click.option("--time-zone", default="Asia/Shanghai", show_default=True)
def station_add(
    hub: Hub, station_id: str, *, name: str, public_key: str, region: str, time_zone: str, as_json: bool
) -> None:
    """Register a station, so that the hub listens to it."""
    with transaction(hub) as session:
        services.register(
            session,
            station_id=station_id,
            name=name,
            region=region,
            time_zone=time_zone,
            public_key=public_key,
            actor=ACTOR,
            now=utc_now(),
        )
    ringer = Ringer(hub.data_dir / "bells")
    ringer.ring(BRIDGE, "stations")
    ringer.close()
    answer(as_json, {"id": station_id, "name": name}, f"station {station_id} added")


@click.group()
def key() -> None:
    """The command key, which signs orders."""


@key.command("create")
@with_config
@with_json
def key_create(hub: Hub, *, as_json: bool) -> None:
    """Make the command key; prints its public half. Never replaces one."""
    path = hub.beside(hub.settings.orders.command_key_file)
    try:
        public = encode_public(new_private_key(path).public_key())
    except FileExistsError as error:
        raise HubError(f"{path} exists; nothing was changed") from error
    answer(as_json, {"public_key": public}, public)


@key.command("show")
@with_config
@with_json
def key_show(hub: Hub, *, as_json: bool) -> None:
    """Print the public half of the command key, for the stations' files."""
    path = hub.beside(hub.settings.orders.command_key_file)
    try:
        public = encode_public(load_private_key(path).public_key())
    except ValueError as error:
        raise HubError(f"{path}: not an Ed25519 private key in PEM") from error
    answer(as_json, {"public_key": public}, public)


@click.group()
def audit() -> None:
    """The audit log."""


@audit.command("verify")
@with_config
@with_json
@click.option("--head", help="An earlier answer of this command; finds a cut-off end too.")
def audit_verify(hub: Hub, head: str | None, *, as_json: bool) -> None:
    """Check that no entry was changed, removed or moved."""
    if head is not None and not head.partition(":")[0].isdigit():
        raise click.BadParameter("not NUMBER:HASH", param_hint="--head")
    with transaction(hub, read_only=True) as session:
        report = chain.verify(session, expected=head)
    document = {"ok": report.ok, "entries": report.entries, "head": report.head, "fault": report.fault}
    answer(
        as_json, document, report.fault or f"{report.entries} entries, nothing changed; head {report.head}"
    )
    if not report.ok:
        click.get_current_context().exit(1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_config
@with_json
def backup(hub: Hub, file: Path, *, as_json: bool) -> None:
    """Copy the database to FILE while the hub runs. Keys and settings are files of their own."""
    copies.backup(url_of(hub), file)
    answer(as_json, {"file": str(file), "bytes": file.stat().st_size}, f"{file}: {file.stat().st_size} bytes")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_config
@with_json
def restore(hub: Hub, file: Path, *, as_json: bool) -> None:
    """Put a copy in place of the database. The hub must be stopped."""
    copies.restore(url_of(hub), file)
    answer(as_json, {"file": str(file)}, f"restored from {file}; now run cloud-hub db upgrade")


COMMANDS: Final = (db, admin, token, station, key, audit, backup, restore)
