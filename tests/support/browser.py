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
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from cloud_hub.db import Base, make_engine, make_sessions, utc_now
from firmware_config.signing import new_private_key
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
        process: the web process; a test that ends it may put another in its place.
    """

    url: str
    records: Records
    process: subprocess.Popen[bytes]


def hub_file(folder: Path, port: int, *, orders: str = "", database: str | None = None, **web: Any) -> Path:
    """A settings file for the hub in ``folder``; ``orders`` is added to the section of that name."""
    address = f'database_url = "{database}"' if database else ""
    more = "".join(f"{key} = {value}\n" for key, value in web.items())
    path = folder / "hub.toml"
    path.write_text(
        f"""schema = 1
data_dir = "."
{address}
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
{orders}

[passes]
key_file = "passes.key"
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
def site_in(folder: Path, *, orders: str = "", database: str | None = None, **web: Any) -> Iterator[Site]:
    """The web process on a free port, with an empty database unless another has made its tables already."""
    port = free_port()
    config = hub_file(folder, port, orders=orders, database=database, **web)
    hub = hub_in(folder, port=port, database_url=database)
    if not (folder / "passes.key").exists():
        new_private_key(folder / "passes.key")
    engine = make_engine(hub.database_url)
    Base.metadata.create_all(engine)
    records = Records(hub=hub, sessions=make_sessions(engine), clock=WallClock(utc_now()))
    site = Site(url=f"http://127.0.0.1:{port}", records=records, process=start(config))
    try:
        until(lambda: answers(site.url), "the web process answers", limit_s=30)
        yield site
    finally:
        if site.process.poll() is None:
            site.process.send_signal(signal.SIGTERM)
        site.process.communicate(timeout=15)
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

    def hear(line: ConsoleMessage) -> None:
        refused = (
            "responded with a status of 4" in line.text
        )  # Chromium's note of an answer that some tests want
        if line.type in {"error", "warning"} and not refused:
            complaints.append(line.text)

    def see(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            complaints.append(f"request to {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", see)
    return complaints


def picture(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
