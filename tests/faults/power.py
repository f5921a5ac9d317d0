"""Campaign ``power`` (18): the store's own system calls are recorded, and the power is cut after each of them.

What was written and not flushed is lost, kept, or lost in part; names of files are kept. On each such disk the real store
is opened, and must have every event and intent that was promised before the cut.
"""

import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware_config.vocabulary import Lane
from tests.faults.report import Campaign
from tests.faults.rig import fresh
from tests.support.parts import program
from tests.support.station_store import open_store

TRACED: Final = "openat,pwrite64,write,fdatasync,fsync,ftruncate,unlink,rename,close"
CALL: Final = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)")
UNFINISHED: Final = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
FATES: Final = ("lost", "kept", "in part")
WRITES: Final = 40
"""Things kept while being recorded; each makes a few system calls."""


@dataclass(frozen=True, slots=True)
class Call:
    """One change of the disk, or a promise (``path`` is empty then)."""

    what: str
    path: str
    data: bytes = b""
    place: int = 0


@dataclass
class _File:
    flushed: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)

    def after(self, fate: str, chooser: random.Random) -> bytes:
        data = bytearray(self.flushed)
        for call in self.pending:
            if fate == "kept" or (fate == "in part" and chooser.random() < 0.5):
                _apply(data, call)
        return bytes(data)

    def flush(self) -> None:
        for call in self.pending:
            _apply(self.flushed, call)
        self.pending = []


def _apply(data: bytearray, call: Call) -> None:
    if call.what == "ftruncate":
        del data[call.place :]
        data.extend(bytes(call.place - len(data)))
        return
    data.extend(bytes(max(0, call.place - len(data))))
    data[call.place : call.place + len(call.data)] = call.data


def record(folder: Path) -> list[Call]:
    """Run the writer below strace; its calls on files of ``folder``, and its promises, in order."""
    log = folder.with_suffix(".calls")
    tool = program("strace")
    assert tool is not None
    writer = (sys.executable, "-m", "tests.faults.power_writer", folder, str(WRITES))
    options = ("-f", "-qq", "-xx", "-s", "1000000", "-e", f"trace={TRACED}", "-o", log)
    subprocess.run([str(word) for word in (tool, *options, *writer)], check=True, stdout=subprocess.DEVNULL)
    return _parse(log.read_text(encoding="ascii", errors="replace"), str(folder))


def _lines(text: str) -> list[str]:
    """Calls of several threads, each put where it ended."""
    begun: dict[str, str] = {}
    whole = []
    for line in text.splitlines():
        if found := UNFINISHED.match(line):
            begun[found[1]] = found[2]
        elif found := RESUMED.match(line):
            whole.append(f"{found[1]} {begun.pop(found[1], '')}{found[2]}")
        else:
            whole.append(line)
    return whole


class _Recording:
    """Follows which descriptor is which file."""

    def __init__(self, folder: str) -> None:
        self._folder = folder + "/"
        self._paths: dict[int, str] = {}
        self._places: dict[int, int] = {}
        self.calls: list[Call] = []

    def hear(self, name: str, words: str, result: int) -> None:
        """One call that succeeded."""
        texts = [bytes.fromhex(part.replace("\\x", "")) for part in TEXT.findall(words)]
        if name in {"openat", "unlink", "rename"}:
            if texts[0].decode(errors="replace").startswith(self._folder):
                self._by_name(name, words, result, texts)
            elif name == "openat":
                self._paths.pop(result, None)
            return
        number = int(words.split(",", 1)[0])
        if name == "write" and number == 1:
            self.calls.append(Call("promise", "", texts[0]))
        elif number in self._paths:
            self._by_number(name, number, words, texts)

    def _by_name(self, name: str, words: str, result: int, texts: list[bytes]) -> None:
        own = [text.decode().removeprefix(self._folder) for text in texts]
        if name == "openat":
            self._paths[result], self._places[result] = own[0], 0
            self.calls.append(Call("ftruncate" if "O_TRUNC" in words else "open", own[0]))
        else:
            self.calls.append(Call(name, own[0], own[-1].encode()))

    def _by_number(self, name: str, number: int, words: str, texts: list[bytes]) -> None:
        path = self._paths[number]
        if name == "close":
            del self._paths[number]
        elif name in {"fsync", "fdatasync"}:
            self.calls.append(Call("fsync", path))
        elif name == "ftruncate":
            self.calls.append(Call("ftruncate", path, place=int(words.split(",")[1])))
        elif name == "pwrite64":
            self.calls.append(Call("write", path, texts[0], int(words.rsplit(",", 1)[1])))
        else:
            self.calls.append(Call("write", path, texts[0], self._places[number]))
            self._places[number] += len(texts[0])


def _parse(text: str, folder: str) -> list[Call]:
    recording = _Recording(folder)
    for line in _lines(text):
        found = CALL.match(line)
        if found is not None and int(found[4]) >= 0:
            recording.hear(found[2], found[3], int(found[4]))
    return recording.calls


class Disk:
    """What would be on the card after some of the calls."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}

    def do(self, call: Call) -> None:
        """One more call."""
        if call.what == "unlink":
            self.files.pop(call.path, None)
        elif call.what == "rename":
            self.files[call.data.decode()] = self.files.pop(call.path, _File())
        elif call.what != "promise":
            file = self.files.setdefault(call.path, _File())
            if call.what == "fsync":
                file.flush()
            elif call.what != "open":
                file.pending.append(call)

    def write(self, folder: Path, fate: str, chooser: random.Random) -> None:
        """Put it there. SQLite's index is memory, and is gone."""
        folder.mkdir(parents=True)
        for name, file in self.files.items():
            if not name.endswith("-shm"):
                (folder / name).write_bytes(file.after(fate, chooser))


def _faults(folder: Path, promised: list[str]) -> list[str]:
    store = open_store(folder)
    try:
        # readings are not flushed at each commit: a cut may leave a file that is rightly not believed
        if aside := [path.name for path in store.set_aside if path.name.startswith("safety.db")]:
            return [f"set aside: {aside}"]
        events = {
            f"event {event.data['n']}"
            for lane in Lane
            for event in store.outbox.events(lane, 10_000)
            if "n" in event.data
        }
        intents = {f"intent {int(command, 16)}" for command in store.recall()}
        return [
            f"{promise} was promised and is gone" for promise in promised if promise not in events | intents
        ]
    finally:
        store.close()


def power(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` power cuts, spread over every call; with n three times the calls or more, each call with each fate."""
    begun_s = time.monotonic()
    chooser = random.Random(seed)  # noqa: S311 (a seed, no secret)
    own = fresh(folder)
    calls = record(own / "data")
    assert calls, "strace recorded nothing"
    cuts = [(number, fate) for number in range(1, len(calls) + 1) for fate in FATES]
    wanted = set(cuts if n >= len(cuts) else chooser.sample(cuts, n))
    disk, promised = Disk(), list[str]()
    wrong: list[str] = []
    fates: Counter[str] = Counter()
    for number, call in enumerate(calls, start=1):
        disk.do(call)
        if call.what == "promise":
            promised.append(call.data.decode().strip())
        for fate in FATES:
            if (number, fate) not in wanted:
                continue
            fates[fate] += 1
            after = own / f"{number}-{fate.replace(' ', '-')}"
            disk.write(after, fate, chooser)
            wrong += [
                f"18 cut after call {number} ({call.what} {call.path}), {fate}: {text}"
                for text in _faults(after, promised)
            ]
            shutil.rmtree(after)
    figures: dict[str, float | int | str] = {
        "crash points enumerated": len(cuts),
        "tried": len(wanted),
        "promises": len(promised),
        "unflushed writes": ", ".join(f"{name} {count}" for name, count in sorted(fates.items())),
    }
    return Campaign("power", len(wanted), seed, wrong, figures, time.monotonic() - begun_s)
