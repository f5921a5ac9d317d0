"""A hundred clicks at once through real HTTP: one order is taken, ninety-nine are told that the door is busy (safety.md C14)."""

import threading
from collections import Counter
from pathlib import Path

import requests
from sqlalchemy import func, select

from cloud_hub.models import AuditEntry, Command
from cloud_hub.models.access import Role
from tests.support.browser import site_in
from tests.support.district import NORTH, district

CLICKS = 100


def test_of_a_hundred_clicks_at_once_one_is_taken(tmp_path: Path, database_url: str) -> None:
    with site_in(tmp_path, database=database_url, threads=64) as site:
        site.records.add(*district(site.records.clock()))
        headers = [site.records.token(Role.OPERATOR, name=f"program-{n}") for n in range(10)]
        url = f"{site.url}/api/v1/stations/{NORTH}/doors/main/unlock"
        codes: list[tuple[int, str]] = []
        start = threading.Barrier(CLICKS)

        def click(n: int) -> None:
            start.wait(30)
            answer = requests.post(url, headers=headers[n % 10], json={"reason": f"click {n}"}, timeout=60)
            codes.append((answer.status_code, str(answer.json().get("code"))))

        threads = [threading.Thread(target=click, args=(n,)) for n in range(CLICKS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert Counter(codes) == {(202, "None"): 1, (409, "door_busy"): CLICKS - 1}
        with site.records.sessions() as session:
            live = select(func.count()).where(Command.station_id == NORTH, Command.final.is_(False))
            assert session.scalar(live) == 1
            asked = select(func.count()).where(AuditEntry.action == "door:unlock:requested")
            assert session.scalar(asked) == 1
