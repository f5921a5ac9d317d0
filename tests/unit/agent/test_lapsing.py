"""Templates that may be kept no longer: destroyed once, with a receipt, also after a crash; and visits kept by day."""

import queue
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config import receipts
from firmware_config.receipts import gallery_root
from firmware_config.roster import RosterPerson
from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Erase
from station_agent import facts
from station_agent.core.retention import DAY_MS, GRACE_MS
from station_agent.people.erasing import Eraser
from station_agent.people.lapsing import Lapsing
from station_agent.store.consents import Said
from station_agent.store.credentials import Credentials
from station_agent.store.keeping import Keeping, Lapse
from tests.support.rosters import roster
from tests.support.shelf import AGREED, Shelf

FORBIDDEN = RosterPerson(id="anna", groups=["always"])
DAY_S = DAY_MS / 1000


class Station:
    """Store, eraser and lapsing of one station."""

    def __init__(self, folder: Path) -> None:
        self.shelf = Shelf("st-north01", folder)
        self.credentials = Credentials(
            folder / "credentials.db", folder / "pin.key", station="st-north01", at=self.shelf.stamp()
        )
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.inbox: queue.SimpleQueue[facts.Fact] = queue.SimpleQueue()
        self.eraser = Eraser(
            station="st-north01", eyes=self.shelf, credentials=self.credentials, signer=self.signer,
            clock=self.shelf, roster_version=lambda: 0, put=self.inbox.put, record=self.shelf.record,
        )  # fmt: skip
        self.keeping = Keeping(self.shelf.store)
        self.version = 0
        self.start()

    def start(self) -> None:
        self.lapsing = Lapsing(
            self.keeping, destroyer=self.eraser, roster=lambda: self.shelf.roster, expire_days=180,
            clock=self.shelf, record=self.shelf.record,
        )  # fmt: skip

    def show(self, *people: RosterPerson) -> None:
        """The next roster comes into force."""
        self.version += 1
        self.shelf.roster = roster(*people, version=self.version, issued_ms=self.shelf.now_ms)
        self.lapsing.turn()

    def close(self) -> None:
        self.shelf.store.close()
        self.credentials.close()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    made.shelf.enrol("anna", 1)
    yield made
    made.close()


def test_a_withdrawn_face_is_destroyed_with_a_receipt_that_the_hub_can_check(station: Station) -> None:
    station.shelf.enrol("berta", 2)
    berta = RosterPerson(id="berta", groups=["always"], face=True, consent=1)
    station.show(AGREED, berta)
    station.show(FORBIDDEN, berta)
    assert station.shelf.people() == ["berta"]
    (data,) = station.shelf.told(EventKind.TEMPLATE_EXPIRED)
    assert data["reason"] == "face_not_allowed"
    request = Erase(station="st-north01", request_id=str(data["request_id"]), person="anna", issued_ms=0)
    receipt = receipts.verify(data, Verifier.of(encode_public(station.signer.public)), request=request)
    assert (receipt.found, receipt.people) == (True, 1)
    assert receipt.root == gallery_root(station.shelf.sealed_digests())
    assert station.inbox.get_nowait() == facts.FaceConsentSaid("anna", None)


def test_a_pin_outlives_the_face(station: Station) -> None:
    station.show(AGREED)
    assert station.credentials.set_pin("anna", "482915", number=None) is None
    station.show(FORBIDDEN)
    assert (station.shelf.people(), station.credentials.has_pin("anna")) == ([], True)


def test_each_roster_and_each_day_is_looked_at_once(station: Station) -> None:
    station.show(AGREED)
    station.show(FORBIDDEN)
    station.lapsing.turn()
    station.start()
    station.lapsing.turn()
    assert len(station.shelf.told(EventKind.TEMPLATE_EXPIRED)) == 1


def test_an_enrolment_the_hub_has_not_heard_of_is_kept(station: Station) -> None:
    said = Said(given=True, notice=1, replication=False, said_at_ms=station.shelf.now_ms, roster=7)
    station.shelf.enrol("anna", 1, said=said)
    for _ in range(7):
        station.show(FORBIDDEN)
    assert station.shelf.people() == ["anna"]
    station.shelf.wait(3_600)
    station.show(FORBIDDEN)
    assert station.shelf.people() == ["anna"]
    station.show(AGREED)
    station.show(FORBIDDEN)
    assert station.shelf.people() == []


def test_somebody_removed_from_the_roster_goes_when_a_later_one_says_the_same(station: Station) -> None:
    station.show(AGREED)
    station.show()
    station.show()
    assert station.shelf.people() == ["anna"]
    station.shelf.wait(GRACE_MS / 1000)
    station.start()
    station.show()
    assert station.shelf.people() == []
    assert station.shelf.told(EventKind.TEMPLATE_EXPIRED)[0]["reason"] == "not_on_roster"


def test_templates_go_half_a_year_after_the_last_visit(station: Station) -> None:
    station.lapsing.turn()
    station.shelf.wait(100 * DAY_S)
    station.lapsing.visited("anna")
    station.shelf.wait(179 * DAY_S)
    station.lapsing.turn()
    assert station.shelf.people() == ["anna"]
    station.shelf.wait(DAY_S)
    station.lapsing.turn()
    assert station.shelf.people() == []
    assert station.shelf.told(EventKind.TEMPLATE_EXPIRED)[0]["reason"] == "expired"


def test_of_a_visit_only_the_day_is_kept(station: Station) -> None:
    station.lapsing.visited("anna")
    station.shelf.wait(60)
    station.lapsing.visited("anna")
    station.lapsing.visited("nobody")
    with station.shelf.store.transaction() as connection:
        rows = connection.execute("SELECT person, visited_day FROM keeping").fetchall()
    assert rows == [("anna", station.shelf.now_ms // DAY_MS)]


def test_by_a_clock_that_cannot_be_trusted_nothing_is_destroyed(station: Station) -> None:
    station.show(AGREED)
    station.shelf.trust = "unsynced"
    station.shelf.wait(4_000 * DAY_S)
    station.show(FORBIDDEN)
    station.lapsing.visited("anna")
    assert station.shelf.people() == ["anna"]
    station.shelf.trust = "synced"
    station.show(AGREED)
    assert station.shelf.people() == ["anna"]  # that visit counts from today


def test_what_a_crash_cut_off_is_finished_and_told_at_the_next_start(station: Station) -> None:
    station.keeping.begin_lapse(Lapse("c" * 32, "anna", "expired"))
    station.start()
    station.lapsing.resume()
    assert station.shelf.people() == []
    (data,) = station.shelf.told(EventKind.TEMPLATE_EXPIRED)
    assert (data["request_id"], data["found"], data["reason"]) == ("c" * 32, True, "expired")
    station.lapsing.resume()
    assert len(station.shelf.told(EventKind.TEMPLATE_EXPIRED)) == 1


def test_the_event_fits_the_largest_data(station: Station) -> None:
    station.show(AGREED)
    station.show(FORBIDDEN)
    (data,) = station.shelf.told(EventKind.TEMPLATE_EXPIRED)
    assert len(msgspec.json.encode(data)) <= receipts.MAX_DATA_BYTES
