"""What a site's witnesses saw, as a history for the checker."""

import msgspec

from cloud_hub.models import AuditEntry, Command, CommandStep
from firmware_config.signing import Envelope
from firmware_config.wire import Challenge
from tests.faults.broker import HostileBroker
from tests.faults.checker import NONCE_S, TOLERANCE_S, check
from tests.faults.history import Audited, Edge, History, Order, Row, Step, attribute
from tests.faults.rig import mono_offset_s
from tests.faults.site import STATION, Site


def history_of(site: Site, *, settled: bool = True) -> History:
    """Wires and database of a site, now."""
    offset_s = mono_offset_s()
    return History(
        edges=[Edge(t + offset_s, STATION, wire, value) for t, wire, value in site.edges()],
        steps=[Step(row.at.timestamp(), row.command_id, row.state) for row in site.rows(CommandStep)],
        audit=[Audited(row.at.timestamp(), row.action, row.target) for row in site.rows(AuditEntry)],
        rows=[
            Row(
                event.received_at.timestamp(), STATION, event.install_id, event.seq, event.kind,
                str(event.data.get("door")),
            )
            for event in site.events()
        ],
        orders=[
            Order(
                row.id, STATION, row.door_id, row.pulse_ms / 1000, row.state, row.final, dict(row.evidence)
            )
            for row in site.rows(Command)
        ],
        settled=settled,
    )  # fmt: skip


def violations(site: Site, *, settled: bool = True) -> list[str]:
    """One sentence for each rule that was broken."""
    return [str(violation) for violation in check(history_of(site, settled=settled))]


def late_pulses(site: Site, broker: HostileBroker) -> list[str]:
    """I2 by a witness at the broker, which saw each nonce before it held anything back."""
    first_s: dict[str, float] = {}
    for logged in broker.heard("/up/chal"):
        envelope = msgspec.json.decode(logged.message.payload, type=Envelope)
        cmd_id = msgspec.json.decode(envelope.body, type=Challenge).cmd_id
        first_s.setdefault(cmd_id, logged.at_s)
    offset_s = mono_offset_s()
    wrong = []
    for cmd_id, own in attribute(history_of(site)).of.items():
        for pulse in own:
            age_s = pulse.start - offset_s - first_s.get(cmd_id, float("-inf"))
            if age_s > NONCE_S + TOLERANCE_S:
                wrong.append(f"I2: {cmd_id} pulsed {age_s:.2f} s after its challenge reached the broker")
    return wrong
