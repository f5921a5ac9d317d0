"""A hub's first files: settings with fresh secrets beside them, readable by their owner only. Nothing is overwritten."""

import json
import os
import secrets
from pathlib import Path
from typing import Final

from cloud_hub.errors import HubError
from firmware_config.signing import new_private_key

SETTINGS: Final = "hub.toml"
_WEB_KEY: Final = "web.key"
_COMMAND_KEY: Final = "command.key"
_QR_KEY: Final = "passes.key"

_TEMPLATE: Final = """\
# Settings of this hub. Relative paths are relative to this file's folder.
schema = 1
data_dir = "."
# A SQLite database in data_dir unless an address is given:
# database_url = "postgresql+psycopg://yizhan@127.0.0.1/yizhan"
# database_password_file = "database.password"
language = "zh_CN"

[web]
host = "127.0.0.1"
port = {port}
secret_key_file = "{web_key}"
# Only for plain HTTP on this machine; behind HTTPS remove the line.
secure_cookies = false

[broker]
host = {broker_host}
port = {broker_port}
tls = {tls}
# ca_file = "ca.pem"
# certificate_file = "hub.pem"
# key_file = "hub.key"
# username = "bridge"
# password_file = "broker.password"

[orders]
command_key_file = "{command_key}"

[passes]
key_file = "{pass_key}"
"""


def write(folder: Path, *, port: int, broker_host: str, broker_port: int, tls: bool) -> Path:
    """Make the folder, the secrets and the settings file; returns the last.

    Raises:
        HubError: a settings file is there already, or the folder cannot be written.
    """
    settings = folder / SETTINGS
    if settings.exists():
        raise HubError(f"{settings} exists; nothing was changed")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_once(folder / _WEB_KEY, secrets.token_hex(32) + "\n")
        for name in (_COMMAND_KEY, _QR_KEY):
            if not (folder / name).exists():
                new_private_key(folder / name)
        text = _TEMPLATE.format(
            port=port,
            web_key=_WEB_KEY,
            command_key=_COMMAND_KEY,
            pass_key=_QR_KEY,
            broker_host=json.dumps(broker_host),
            broker_port=broker_port,
            tls=str(tls).lower(),
        )
        _write_once(settings, text)
    except OSError as error:
        raise HubError(f"{error.filename or folder}: {error.strerror}") from error
    return settings


def _write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
