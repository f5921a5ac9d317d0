"""What a station writes while its power is about to fail: events and intents, each promised aloud once it is on disk.

A program of its own, so that its system calls can be recorded: ``python -m tests.faults.power_writer FOLDER COUNT``.
"""

import os
import queue
import sys
from pathlib import Path

from firmware_config.vocabulary import EventKind
from station_agent.store.store import Store
from tests.support.station_store import open_store, stamp


def _intend(store: Store, command: str) -> bool:
    """Whether the intent is on disk."""
    said: queue.SimpleQueue[bool] = queue.SimpleQueue()
    store.commit_intent(command, "d", said.put)
    return said.get(timeout=30)


def main(folder: Path, count: int) -> None:
    """Keep ``count`` things, one after the other; say each on standard output, in one write."""
    store = open_store(folder)
    for number in range(count):
        if number % 5 == 4:
            if _intend(store, f"{number:032x}"):
                os.write(1, f"intent {number}\n".encode())
        else:
            store.put_event(EventKind.MAINS_LOST, {"n": number, "filler": "x" * 300}, stamp(number))
            if store.barrier(30):
                os.write(1, f"event {number}\n".encode())
    # no close: the power fails


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
