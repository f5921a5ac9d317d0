"""The 27 faults of safety.md section 12: what must happen, how it is brought about here, what runs it, what was measured.

``python -m tests.faults.table [FOLDER...]`` writes ``docs/faults.md`` from this table and the reports in those folders,
``build/faults`` unless named: campaigns that ran side by side have a folder each.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path("build/faults")
PAGE: Final = Path("docs/faults.md")

HEAD: Final = """\
# What can go wrong, and what was measured

Every fault of the table is brought about by code where code can do it. `make faults` runs the campaigns in full and this
page is written from their report by `python -m tests.faults.table`; `make test` runs a short slice of each. A figure of
zero violations in n trials is a bound of 3/n (95 %), not a promise. What needs a real lock, a real panel or a real card is
in [commissioning.md](commissioning.md), and nothing is claimed for it here.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    Attributes:
        campaigns: names as ``python -m tests.faults`` takes them.
        tests: files that show it in ``make test``.
        hardware: a heading of ``docs/commissioning.md`` for what code cannot bring about.
    """

    number: int
    fault: str
    expected: str
    injected: str
    campaigns: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    hardware: str | None = None


_SLICE: Final = "tests/faults/test_slices.py"

FAULTS: Final = (
    Fault(
        1,
        "WAN down before the order",
        "DEVICE_OFFLINE, and no pulse when the line is back",
        "both connections cut in the proxy, or the station told to stay away",
        campaigns=("network", "cable"),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        2,
        "Cut after the order, before the challenge",
        "NO_CHALLENGE or DEVICE_OFFLINE, final, no pulse",
        "the proxy drops one direction; the model drops the message",
        campaigns=("network", "model"),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        3,
        "Cut after GO was sent",
        "UNKNOWN after 8 s, the truth after the line is back",
        "the proxy resets at that message; the bridge killed at `bridge.go.sent`",
        campaigns=("network", "model", "kills"),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        4,
        "Result lost",
        "as 3; sent again, one row",
        "the proxy drops it; the agent killed at `agent.outbox.published`",
        campaigns=("network", "model", "kills"),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        5,
        "Acknowledgement lost",
        "sent again, the hub takes it for the same",
        "the bridge killed at `bridge.batch.puback`; the proxy drops it",
        campaigns=("network", "model", "kills"),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        6,
        "Half-open TCP",
        "offline within the lease, reconnected, nothing lost",
        "the proxy swallows everything and keeps the sockets",
        campaigns=("network", "cable"),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        7,
        "Latency 300 ms ± 100, loss",
        "unlocked within 2 s (p95), or a truthful UNKNOWN",
        "the proxy delays and slices; loss on TCP shows as stalls",
        campaigns=("network",),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        8,
        "16 kbit/s",
        "alarms first, readings thinned",
        "the proxy's bandwidth",
        campaigns=("network",),
        tests=("tests/faults/test_network.py", "tests/unit/faults/test_proxy.py"),
    ),
    Fault(
        9,
        "Line comes and goes every 5 s",
        "no storm of alerts, reconnecting with full jitter",
        "the proxy opens and shuts",
        campaigns=("flapping-link",),
        tests=("tests/faults/test_network.py", "tests/unit/hub/test_presence.py"),
    ),
    Fault(
        10,
        "Broker killed",
        "reconnected, no old pulse, nothing lost",
        "SIGKILL of Mosquitto at random moments, started again",
        campaigns=("brokers", "kills"),
        tests=("tests/faults/test_kill_slice.py",),
    ),
    Fault(
        11,
        "Broker stands still",
        "both sides notice; nothing moves late when it goes on",
        "SIGSTOP and SIGCONT of Mosquitto, up to a minute",
        campaigns=("brokers", "stalls"),
        tests=(_SLICE,),
    ),
    Fault(
        12,
        "Agent killed at each named place",
        "at most one pulse for an order, INTERRUPTED where true",
        "`firmware_config/crashpoint.py`, armed at the start of the process",
        campaigns=("kills",),
        tests=("tests/faults/test_kill_slice.py", "tests/unit/firmware/test_crashpoint.py"),
    ),
    Fault(
        13,
        "Agent stands still between challenge and GO",
        "the nonce is dead: EXPIRED, no late pulse",
        "SIGSTOP of the agent, the broker or the bridge for 1–60 s while orders are on their way",
        campaigns=("stalls", "model"),
        tests=(_SLICE, "tests/unit/core/test_commands.py"),
    ),
    Fault(
        14,
        "Agent dies in a pulse",
        "released at the next start; INTERRUPTED; the one-shot ends it within 12 s meanwhile",
        "SIGKILL while the simulated relay is energised: shows the start, not the one-shot",
        campaigns=("stalls",),
        tests=(_SLICE,),
        hardware="Energised time by logic probe",
    ),
    Fault(
        15,
        "Vision hangs, memory runs out",
        "the doors go on",
        "`prlimit --as` on the running agent; the vision thread dies by tests of its own. SIGSTOP stops no single thread",
        campaigns=("stalls",),
        tests=(_SLICE, "tests/unit/vision/test_pipeline.py"),
        hardware="Watchdog",
    ),
    Fault(
        16,
        "Hub killed while it authorises",
        "no GO without its row and audit entry",
        "the bridge killed at `bridge.authorised.before_commit` and `.committed`",
        campaigns=("stalls", "kills"),
        tests=(_SLICE,),
    ),
    Fault(
        17,
        "Hub's database away for 2 min",
        "said to be degraded, events wait, none is lost",
        "another process holds SQLite's lock; tests take PostgreSQL away",
        campaigns=("stalls",),
        tests=(_SLICE, "tests/integration/test_bridge.py"),
    ),
    Fault(
        18,
        "Power cut",
        "what was acknowledged is kept, the store opens, nothing pulses again",
        "the store's system calls recorded, cut after each; what was not flushed lost, kept or lost in part",
        campaigns=("power", "kills"),
        tests=(_SLICE, "tests/faults/test_kill_slice.py"),
        hardware="Power cuts on the SD card",
    ),
    Fault(
        19,
        "Station's disk full",
        "orders refused truthfully, the exit works, recovers",
        "a small tmpfs in a mount namespace of its own, filled to the last byte or file",
        campaigns=("disk-full",),
        tests=("tests/unit/store/test_writer.py",),
    ),
    Fault(
        20,
        "Station's disk read-only",
        "told to the hub, no crash, the exit works",
        "the same tmpfs remounted read-only before a start",
        campaigns=("disk-read-only",),
        tests=(_SLICE, "tests/unit/store/test_writer.py"),
    ),
    Fault(
        21,
        "Bits flipped, files cut off or put back",
        "noticed, set aside, told; the door is back within 20 s",
        "bits, lengths and pages of every file a stopped agent keeps",
        campaigns=("damage",),
        tests=(_SLICE,),
    ),
    Fault(
        22,
        "Clock 30 days back, a year ahead, 1970, jumping",
        "no wrong order obeyed, no right one refused while nobody vouches for the clock; events dated right",
        "libfaketime on the agent and on the bridge, monotonic clocks untouched",
        campaigns=("clocks",),
        tests=(_SLICE, "tests/unit/hub/test_timing.py"),
        hardware="Clock battery",
    ),
    Fault(
        23,
        "Messages doubled, out of order, stale",
        "I1–I4",
        "a hostile broker in the model; two other clients against a running agent",
        campaigns=("hostile-broker", "model"),
        tests=(
            "tests/unit/faults/test_hostile_broker.py",
            "tests/integration/test_second_implementation.py",
            "tests/unit/faults/test_mutants.py",
        ),
    ),
    Fault(
        24,
        "Broken frames, wrong schema, 10 MB, deep JSON",
        "refused, counted, still running",
        "a broker of our own sends them to station and hub, raw sockets to Mosquitto, foreign clients publish them",
        campaigns=("corrupt-frames", "corrupt-clients"),
        tests=(
            "tests/faults/test_network.py",
            "tests/unit/faults/test_fuzz.py",
            "tests/integration/test_second_implementation.py",
        ),
    ),
    Fault(
        25,
        "Certificate out of date, revoked, of another name",
        "refused by both sides; accepted again with a good one",
        "a test authority and real Mosquitto with TLS and a revocation list",
        tests=("tests/integration/test_certificates.py", "tests/integration/test_mosquitto_configuration.py"),
    ),
    Fault(
        26,
        "Contact bounces, sticks; exit button sticks",
        "debounced, reported as a fault, no false forced door",
        "edges on simulated wires; histories of the door's core",
        tests=(
            "tests/unit/core/test_debounce.py",
            "tests/unit/core/test_door.py",
            "tests/contract/test_devices.py",
        ),
        hardware="Contact, exit button and tamper switch",
    ),
    Fault(
        27,
        "100 stations reconnect together",
        "spread by jitter; alarms within 5 s (p99)",
        "a hundred light stations behind the proxy; the same with three days of events each (`make bench`)",
        campaigns=("reunion",),
        tests=("tests/faults/test_network.py", "tests/benchmarks/backlog.py"),
    ),
)


def page(report: Mapping[str, Any] | None) -> str:
    """The page, with what was measured."""
    done = {campaign["name"]: campaign for campaign in report["campaigns"]} if report else {}
    if report:
        stand = f"Measured {report['started_at'][:10]} on {report['machine']}; the commit stands with each campaign."
    else:
        stand = "No report was at hand when this page was written."
    lines = [
        HEAD,
        stand,
        "",
        "| # | Fault | Expected | How here | Run by | Measured |",
        "|---:|---|---|---|---|---|",
    ]
    lines += [_row(fault, done) for fault in FAULTS]
    lines += ["", "## Campaigns", ""]
    lines += [line for name in sorted(done) for line in _campaign(done[name])]
    return "\n".join(lines).rstrip() + "\n"


def _row(fault: Fault, done: Mapping[str, Any]) -> str:
    runs = [f"`{name}`" for name in fault.campaigns] + [f"`{path}`" for path in fault.tests]
    if fault.hardware:
        runs.append(f"by hand: {fault.hardware}")
    figures = [_figure(done[name]) for name in fault.campaigns if name in done]
    measured = "; ".join(figures) or ("not run in full yet" if fault.campaigns else "by its tests")
    cells = (str(fault.number), fault.fault, fault.expected, fault.injected, ", ".join(runs), measured)
    return f"| {' | '.join(cells)} |"


def _figure(campaign: Mapping[str, Any]) -> str:
    broken = len(campaign["violations"])
    bound = "" if campaign["bound"] is None else f" (≤ {campaign['bound']:.1e})"
    return f"{campaign['name']}: {broken} in {campaign['n']}{bound}, seed {campaign['seed']}"


def _campaign(campaign: Mapping[str, Any]) -> Sequence[str]:
    figures = [f"- {name}: {value}" for name, value in campaign["figures"].items()]
    return [
        f"### {campaign['name']}",
        "",
        f"{_figure(campaign)}, commit `{campaign['commit']}`",
        "",
        *figures,
        "",
    ]


def merged(reports: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """One report of all of them, each campaign with its own commit; None without any.

    Raises:
        ValueError: they are of different machines, or two of them have the same campaign.
    """
    if not reports:
        return None
    if len(machines := {report["machine"] for report in reports}) > 1:
        raise ValueError(f"reports of different machines: {sorted(machines)}")
    campaigns = [
        {**campaign, "commit": report["commit"]} for report in reports for campaign in report["campaigns"]
    ]
    if doubled := [name for name, n in Counter(item["name"] for item in campaigns).items() if n > 1]:
        raise ValueError(f"in more than one report: {', '.join(doubled)}")
    first = min(reports, key=lambda report: str(report["started_at"]))
    return {**first, "campaigns": campaigns}


def main(folders: Sequence[str]) -> int:
    """Write the page."""
    files = [Path(folder) / "report.json" for folder in folders or [str(FOLDER)]]
    report = merged([json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()])
    PAGE.write_text(page(report), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
