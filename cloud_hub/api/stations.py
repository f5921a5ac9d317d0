"""Stations and their current state."""

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.blueprint import UNKNOWN, api, cut, send
from cloud_hub.api.schemas import (
    DoorAnswer,
    OccupancyAnswer,
    SensorAnswer,
    StationAnswer,
    StationDetailAnswer,
    StationPage,
    StationPath,
    StationsQuery,
    StorageAnswer,
)
from cloud_hub.models import StationStatus
from cloud_hub.models.access import Role
from cloud_hub.stations import queries
from cloud_hub.stations.queries import StationView


@api.get("/stations", summary="List stations", responses={200: StationPage})
@requires(Role.VIEWER)
def list_stations(query: StationsQuery) -> Response:
    """In order of id."""
    views = queries.by_id(context.read(), after=query.after, limit=query.limit + 1)
    page, last = cut(views, query.limit)
    return send(StationPage(items=[_answer(view) for view in page], next=last.station.id if last else None))


@api.get("/stations/<station_id>", summary="One station", responses={200: StationDetailAnswer, **UNKNOWN})
@requires(Role.VIEWER)
def get_station(path: StationPath) -> Response:
    """With its sensors, cameras and the state of its link."""
    return send(_detail(queries.one(context.read(), path.station_id)))


def _answer(view: StationView) -> StationAnswer:
    return StationAnswer.model_validate(_fields(view))


def _detail(view: StationView) -> StationDetailAnswer:
    status = view.status
    return StationDetailAnswer.model_validate(
        {
            **_fields(view),
            "sensors": [SensorAnswer.model_validate(sensor) for sensor in view.sensors],
            "cameras": status.cameras if status else {},
            "liveness": status.liveness if status else "",
            "engine": status.engine if status else "",
            "agent_version": status.agent_version if status else "",
            "clock": status.clock if status else "unsynced",
            "backlog": status.backlog if status else 0,
            "backlog_age_s": status.backlog_age_s if status else 0.0,
            "rejected": status.rejected if status else {},
            "storage": StorageAnswer.model_validate(_storage(status)) if status and status.storage else None,
        }
    )


def _storage(status: StationStatus) -> dict[str, object]:
    return {
        "state": status.storage,
        "free_bytes": status.free_bytes,
        "written_bytes_day": status.written_bytes_day,
        "events_lost": status.events_lost,
        "readings_lost": status.readings_lost,
    }


def _fields(view: StationView) -> dict[str, object]:
    station, status = view.station, view.status
    return {
        "id": station.id,
        "name": station.name,
        "region": station.region,
        "time_zone": station.time_zone,
        "presence": view.presence,
        "presence_since": status.presence_since if status else None,
        "last_seen_at": status.heartbeat_at if status else None,
        "occupancy": _occupancy(status),
        "doors": [DoorAnswer.model_validate(door) for door in view.doors],
        "open_alerts": view.alert_count,
    }


def _occupancy(status: StationStatus | None) -> OccupancyAnswer | None:
    if status is None or status.people is None:
        return None
    low = status.people if status.people_low is None else status.people_low
    high = status.people if status.people_high is None else status.people_high
    return OccupancyAnswer(estimate=status.people, low=low, high=high, capacity=status.capacity)
