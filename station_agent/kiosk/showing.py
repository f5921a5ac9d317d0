"""From a scene to what the page is told, in one language: a small JSON document that is the same until something changes."""

import hashlib
import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from firmware_config.vocabulary import DoorMode
from station_agent.core.policy import Refusal
from station_agent.i18n import translate
from station_agent.kiosk.desk import Prompt, Scene
from station_agent.kiosk.words import (
    DOOR,
    IN_MODE,
    SILENT,
    UNTIL,
    WELCOME,
    WELCOME_WITHOUT_FACE,
    Saying,
    symbol_of,
    tone_of,
)
from station_agent.texts import TEXTS


def document(
    scene: Scene, language: str, *, zone: ZoneInfo, face: bool, enrol: dict[str, Any]
) -> dict[str, Any]:
    """Everything the page shows of the agent.

    Args:
        scene: the door now.
        language: of its texts.
        zone: the station's.
        face: entry by face is on.
        enrol: what ``enrol.view`` says of a session.
    """
    saying = _saying(scene, face=face)
    in_mode = saying in IN_MODE.values()
    shown: dict[str, Any] = {
        "door": {
            "state": scene.state.value if scene.state else None,
            "short": translate(saying.short, language),
            "text": _until(scene, language, zone) if in_mode else translate(saying.text, language),
            "tone": saying.tone,
            "symbol": saying.symbol,
            "key": saying.text,
        },
        "prompt": None if scene.prompt is None else _prompt(scene, scene.prompt, language, zone),
        "touch": scene.mode is DoorMode.HOLD_OPEN,
        "connected": scene.connected,
        "enrol": enrol,
    }
    return {"version": _version(shown), **shown}


def prompt(told: Prompt, language: str) -> dict[str, str]:
    """A reason code as people read it."""
    return {
        "code": told.code,
        "serial": told.serial,
        "text": reason_text(told.code, language),
        "key": TEXTS.get(told.code, ""),
        "tone": tone_of(told.code),
        "symbol": symbol_of(told.code),
    }


def refusal_text(scene: Scene, code: str, language: str, zone: ZoneInfo) -> str:
    """The sentence of a reason code; of a lock-down with its end, where that is known."""
    if code == Refusal.LOCKED_DOWN and scene.mode is DoorMode.LOCK_DOWN:
        return _until(scene, language, zone)
    return reason_text(code, language)


def reason_text(code: str, language: str) -> str:
    """The sentence of a reason code; a code without one is shown as it is, which a test forbids."""
    return translate(TEXTS.get(code, code), language)


def _prompt(scene: Scene, told: Prompt, language: str, zone: ZoneInfo) -> dict[str, str]:
    return {**prompt(told, language), "text": refusal_text(scene, told.code, language, zone)}


def _saying(scene: Scene, *, face: bool) -> Saying:
    if scene.state is None:
        return SILENT
    saying = DOOR[scene.state]
    if saying is not WELCOME:
        return saying
    return IN_MODE.get(scene.mode) or (WELCOME if face else WELCOME_WITHOUT_FACE)


def _until(scene: Scene, language: str, zone: ZoneInfo) -> str:
    """What a mode says, with its end where the station knows the time."""
    if scene.until_ms is None:
        return translate(IN_MODE[scene.mode].text, language)
    until = datetime.fromtimestamp(scene.until_ms / 1000, zone)
    return translate(UNTIL[scene.mode], language, time=f"{until:%H:%M}")


def _version(shown: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]
