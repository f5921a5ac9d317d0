"""Liveness as a station's file asks for it: the network once, a witness for each camera, and what the gate demands.

Whoever judges a person in the flesh, at the door or at enrolment, takes its parts from here.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from firmware_config.station import FaceEntry, PassiveLiveness
from station_agent.core.challenge import LEAST_STEPS, Below
from station_agent.core.liveness import LONGEST_S, Demands
from station_agent.vision.liveness import Witness
from station_agent.vision.liveness_model import PassiveModel

CHANCE: Final[Below] = secrets.randbelow
"""Draws nonces and moves."""


@dataclass(frozen=True, slots=True)
class Witnessing:
    """What a station judges liveness with.

    Attributes:
        mode: as configured.
        demands: of each attempt.
        model: the passive network; None when the mode does not ask for it.
    """

    mode: Literal["off", "passive", "active", "both"]
    demands: Demands
    model: PassiveModel | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the passive network; empty without one."""
        return "" if self.model is None else self.model.digest

    def witness(self) -> Witness | None:
        """A witness for one camera; None when liveness is off and nobody would listen to it."""
        return None if self.mode == "off" else Witness(self.model)


OFF: Final = Witnessing("off", Demands(mode="off"))


def open_witnessing(face: FaceEntry, *, beside: Callable[[Path], Path]) -> Witnessing:
    """Load what the station's mode needs.

    Args:
        face: of the station file.
        beside: resolves its paths.

    Raises:
        ModelError: the network or its manifest cannot be used; the message names the file.
    """
    model = None if face.passive is None else open_model(face.passive, beside=beside)
    return Witnessing(face.liveness, demands(face, model), model)


def open_model(passive: PassiveLiveness, *, beside: Callable[[Path], Path]) -> PassiveModel:
    """Check, load and warm up the passive network.

    Raises:
        ModelError: as for ``open_witnessing``.
    """
    return PassiveModel(beside(passive.model), passive.sha256, beside(passive.manifest))


def demands(face: FaceEntry, model: PassiveModel | None) -> Demands:
    """What the gate asks for under this configuration."""
    return Demands(
        mode=face.liveness,
        steps=LEAST_STEPS if face.active is None else face.active.steps,
        limit_s=LONGEST_S if face.active is None else face.active.limit_s,
        threshold=None if model is None else model.threshold,
    )
