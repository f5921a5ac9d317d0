"""Opens what the station keeps, and watches the disk under it."""

from collections.abc import Callable
from contextlib import ExitStack

from firmware_config.station import Station
from station_agent.clock import Clock
from station_agent.ledger import Ledger
from station_agent.store.store import Store
from station_agent.store.watch import DiskWatch, make_room


def open_memory(
    station: Station, clock: Clock, parts: ExitStack, *, damaged: Callable[[], None]
) -> tuple[Store, Ledger]:
    """The store, closed at the end, and who writes into it.

    Args:
        station: its configuration.
        clock: for stamps.
        parts: closes what was opened.
        damaged: an open file has rotted: end the process, its next start sets the file aside.
    """
    data_dir, storage = station.beside(station.config.data_dir), station.config.storage
    make_room(data_dir)
    store = Store(data_dir, station=station.config.station, stamp=clock.stamp(), limits=storage)
    parts.callback(store.close)
    ledger = Ledger(store, clock)
    watch = DiskWatch(
        data_dir,
        stores=store,
        ballast_bytes=storage.ballast_mb * 2**20,
        wear_bytes_day=storage.wear_mb_day * 10**6,
        clock=clock,
        record=ledger.record,
    )
    store.report(record=ledger.record, damaged=damaged, lost=watch.lost)
    watch.look()
    watch.start()
    parts.callback(watch.stop)
    return store, ledger
