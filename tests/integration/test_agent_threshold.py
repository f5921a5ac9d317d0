"""The running agent chooses its engine and threshold, and says in every decision what it went by."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from firmware_config.station import FaceEntry
from station_agent.core.threshold import Frames
from station_agent.vision.engines import models_of
from station_agent.vision.impostors import load
from tests.support.agent import AgentProcess
from tests.support.faces import stranger_picture, worker
from tests.support.stations import new_hub_key, write_station

ENGINES = ["opencv", "face-recognition"]
FRAMES = Frames(agreeing=3, judged=8)


def decisions(agent: AgentProcess, kind: str) -> list[dict[str, Any]]:
    """Data of the decisions on disk, in order."""
    store = sqlite3.connect(f"{(agent.config.parent / 'data' / 'safety.db').as_uri()}?mode=ro", uri=True)
    rows = store.execute("SELECT data FROM event WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    store.close()
    return [json.loads(row[0]) for row in rows]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent(tmp_path: Path, engine: str) -> Iterator[AgentProcess]:
    _, public = new_hub_key(tmp_path)
    config, _ = write_station(tmp_path, hub_public=public)
    text = config.read_text(encoding="utf-8").replace("[face]", f'[face]\nengine = "{engine}"')
    config.write_text(text, encoding="utf-8")
    process = AgentProcess(config)
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.mark.timeout(300)
def test_decisions_name_engine_gallery_and_the_threshold_that_follows_from_it(
    agent: AgentProcess, engine: str, tmp_path: Path
) -> None:
    digest = models_of(FaceEntry(liveness="off", engine=engine))[1].sha256  # type: ignore[arg-type]
    known = load(engine, digest)
    pictures = {"p-1": tmp_path / "worker.png", "p-2": stranger_picture()}
    # without the spacesuit's lower half, in which dlib sees a second face
    cv2.imwrite(str(pictures["p-1"]), worker()[:330, 90:370])

    agent.do(op="enrol", person="p-1", image=str(pictures["p-1"]))
    expected = [("p-1", 1), ("p-2", 2), ("p-1", 2)]
    for number, (person, people) in enumerate(expected, start=1):
        if number == people:
            agent.do(op="enrol", person=person, image=str(pictures[person]))
        agent.do(op="show", image=str(pictures[person]), seconds=60)
        agent.wait_until(
            lambda number=number: len(decisions(agent, "access.granted")) >= number,  # type: ignore[misc]
            within_s=60,
        )
    granted = decisions(agent, "access.granted")
    assert [(row["person"], row["gallery"]) for row in granted] == expected
    for row in granted:
        assert row["engine"] == f"{engine}/{digest[:12]}"
        assert row["threshold"] == round(known.threshold(row["gallery"], 1e-3, FRAMES), 4)
        assert row["score"] >= row["threshold"]

    agent.do(op="erase", person="p-2")
    agent.do(op="show", image=str(pictures["p-2"]), seconds=60)
    agent.wait_until(
        lambda: any(row["gallery"] == 1 for row in decisions(agent, "access.denied")), within_s=60
    )
    denied = decisions(agent, "access.denied")[-1]
    assert denied["threshold"] == round(known.threshold(1, 1e-3, FRAMES), 4)
    assert denied["engine"] == f"{engine}/{digest[:12]}"
    assert len(decisions(agent, "access.granted")) == len(expected)
