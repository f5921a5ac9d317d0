"""What the person at the terminal sees: one line per step, with the seconds since the command was started."""

import os
import time
import unicodedata
from pathlib import Path
from typing import Final

import click

_STARTTIME: Final = 21
"""Field 22 of /proc/self/stat, counted from 0: when this process started, in clock ticks since boot (proc(5))."""


def seconds_since_start() -> float:
    """Age of this process in seconds, so that loading Python counts too."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ticks = int(fields[_STARTTIME - 2])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def heading(text: str) -> None:
    """First line."""
    click.secho(text, bold=True)


def step(text: str) -> None:
    """Something is done."""
    click.echo(f"  {click.style('✓', fg='green')} {seconds_since_start():5.1f} s  {text}")


def note(text: str) -> None:
    """Something happened that the person may want to know."""
    click.echo(f"  {click.style('•', fg='yellow')} {time.strftime('%H:%M:%S')}  {text}")


def summary(rows: list[tuple[str, str]]) -> None:
    """The block at the end: names in one column, values in the next."""
    width = max(_columns(name) for name, _ in rows)
    click.echo()
    for name, value in rows:
        click.echo(f"  {name}{' ' * (width - _columns(name))}  {click.style(value, bold=True)}")
    click.echo()


def _columns(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
