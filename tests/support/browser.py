"""The real web process, and a real Chromium in front of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from cloud_hub.db import Base, make_engine, make_sessions, utc_now
from tests.support.demo import until
from tests.support.parts import free_port
from tests.support.web import Records, WallClock, hub_in

ARTEFACTS = Path(__file__).resolve().parents[2] / "test-artefacts"
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SERVE = "import sys; from pathlib import Path; from cloud_hub.settings import load_hub; from cloud_hub.web_server import run; run(load_hub(Path(sys.argv[1])))"


@dataclass
class Site:
    """The web process as a browser reaches it.

    Attributes:
        records: the same database; its clock stands at the start.
    """

    url: str
    records: Records
    process: subprocess.Popen[bytes]


def hub_file(folder: Path, port: int, **web: Any) -> Path:
    """A settings file for the hub in ``folder``."""
    more = "".join(f"{key} = {value}\n" for key, value in web.items())
    path = folder / "hub.toml"
    path.write_text(
        f"""schema = 1
data_dir = "."
stage_url = "http://127.0.0.1:1/stage"

[web]
port = {port}
secret_key_file = "secret"
secure_cookies = false
{more}
[broker]
host = "127.0.0.1"
port = 1883
tls = false

[orders]
command_key_file = "command.key"
""",
        encoding="utf-8",
    )
    return path


def start(config: Path) -> subprocess.Popen[bytes]:
    """The web process, not yet answering."""
    return subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def answers(url: str) -> bool:
    """Whether the process at ``url`` is alive."""
    try:
        return requests.get(f"{url}/healthz", timeout=2).status_code == 200
    except requests.ConnectionError:
        return False


@contextmanager
def site_in(folder: Path, **web: Any) -> Iterator[Site]:
    """The web process on a free port, with an empty database."""
    port = free_port()
    config = hub_file(folder, port, **web)
    hub = hub_in(folder, port=port)
    engine = make_engine(hub.database_url)
    Base.metadata.create_all(engine)
    process = start(config)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url), "the web process answers")
        records = Records(hub=hub, sessions=make_sessions(engine), clock=WallClock(utc_now()))
        yield Site(url=url, records=records, process=process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        engine.dispose()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


def watch(page: Page) -> list[str]:
    """Everything the page's console complains about, and every request to another host; grows while the page lives."""
    complaints: list[str] = []
    page.on(
        "console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("http://127.0.0.1:", "data:"))
            else complaints.append(f"request to {request.url}")
        ),
    )
    return complaints


def picture(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
