"""What the writer remembers between transactions, and how it follows them. Writer thread only."""

from collections.abc import Sequence

from cloud_hub.ingest.boots import Boots
from cloud_hub.ingest.presence import Watch
from cloud_hub.ingest.streams import Streams


class Memory:
    """Presence, clocks and event streams of all stations.

    Attributes:
        watch: presence.
        boots: clocks.
        streams: what came of each store.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.boots = Boots()
        self.streams = Streams()

    def keep(self) -> None:
        """The transaction is committed."""
        self.watch.keep()
        self.boots.keep()
        self.streams.keep()

    def drop(self) -> None:
        """The transaction was rolled back."""
        self.watch.drop()
        self.streams.drop()

    def forget(self, stations: Sequence[str]) -> None:
        """They are no longer served."""
        for station in stations:
            self.watch.forget(station)
        self.boots.forget(stations)
        self.streams.forget(stations)
