"""The hub's figures for Prometheus. Counters of all processes meet in files of one folder (multiprocess mode).

``prepare`` must run before this process first imports a counter; without it they count in memory alone, as tests want.
"""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_hub.models import Alert, StationStatus
from cloud_hub.models.alert import AlertState

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is first imported."""

SHORT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000)


def prepare(data_dir: Path) -> None:
    """Let this process and its children count into ``data_dir/metrics``."""
    folder = data_dir / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[FOLDER_VARIABLE] = str(folder)


def clear(data_dir: Path) -> None:
    """Forget the files of processes that are gone. Only where none of the hub's runs."""
    for path in (data_dir / "metrics").glob("*.db"):
        path.unlink(missing_ok=True)


def _library() -> ModuleType:
    """prometheus_client, imported late because it reads the environment when it is imported."""
    return importlib.import_module("prometheus_client")


class Counters:
    """What the bridge counts."""

    def __init__(self) -> None:
        library = _library()
        counter, histogram = library.Counter, library.Histogram
        self.accepted = counter("yizhan_payloads_accepted", "Payloads taken in, by topic.", ["topic"])
        self.rejected = counter(
            "yizhan_payloads_rejected", "Payloads refused, by reason and topic.", ["reason", "topic"]
        )
        self.dropped = counter(
            "yizhan_payloads_dropped", "Payloads dropped because the bridge was full.", ["topic"]
        )
        self.stale = counter("yizhan_presence_stale", "Births, heartbeats and death notices not believed.")
        self.events = counter("yizhan_events_stored", "Events stored.")
        self.duplicates = counter("yizhan_events_duplicate", "Events received again.")
        self.readings = counter("yizhan_readings_stored", "Readings stored.")
        self.orders = counter("yizhan_orders_ended", "Remote orders, by final state.", ["state"])
        self.alerts = counter("yizhan_alerts_raised", "Alerts raised, by kind.", ["kind"])
        self.reconnects = counter("yizhan_broker_connections", "Connections made to the broker.")
        self.batch_size = histogram(
            "yizhan_ingest_batch_messages", "Messages in one transaction.", buckets=SIZES
        )
        self.batch_s = histogram("yizhan_ingest_batch_seconds", "From first look to commit.", buckets=SHORT_S)
        self.retries = counter(
            "yizhan_ingest_retries", "Transactions tried again because the database failed."
        )
        self.unlock_s = histogram(
            "yizhan_unlock_go_seconds", "From an order's request to its GO.", buckets=SHORT_S
        )


def exposition(session: Session | None = None) -> tuple[bytes, str]:
    """All figures as text, and its content type.

    Args:
        session: reading is enough; adds what only the database knows.
    """
    library = _library()
    registry = library.CollectorRegistry()
    if os.environ.get(FOLDER_VARIABLE):
        from prometheus_client import multiprocess  # noqa: PLC0415 (fails without the folder)

        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # published without types
    else:
        registry = library.REGISTRY
    body: bytes = library.generate_latest(registry)
    if session is not None:
        gauges = library.CollectorRegistry()
        gauges.register(_Gauges(session))
        body += library.generate_latest(gauges)
    return body, library.CONTENT_TYPE_LATEST


class _Gauges:
    """What the database holds at this moment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 (as the library itself)

        stations = GaugeMetricFamily("yizhan_stations", "Stations, by presence.", labels=["presence"])
        by_presence = select(StationStatus.presence, func.count()).group_by(StationStatus.presence)
        for presence, count in self._session.execute(by_presence):
            stations.add_metric([presence], count)
        yield stations
        alerts = GaugeMetricFamily(
            "yizhan_alerts_open", "Alerts not closed, by severity.", labels=["severity"]
        )
        query = (
            select(Alert.severity, func.count())
            .where(Alert.state != AlertState.CLOSED)
            .group_by(Alert.severity)
        )
        for severity, count in self._session.execute(query):
            alerts.add_metric([severity], count)
        yield alerts
        backlog = GaugeMetricFamily("yizhan_stations_backlog", "Rows waiting in the stations' outboxes.")
        backlog.add_metric([], float(self._session.scalar(select(func.sum(StationStatus.backlog))) or 0))
        yield backlog
        refused = GaugeMetricFamily(
            "yizhan_stations_rejected",
            "Payloads that stations refused since their boot, by reason.",
            labels=["reason"],
        )
        for reason, refusals in sorted(self._refusals().items()):
            refused.add_metric([reason], refusals)
        yield refused

    def _refusals(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for reasons in self._session.scalars(select(StationStatus.rejected)):
            for reason, count in reasons.items():
                total[reason] = total.get(reason, 0) + int(count)
        return total
