"""From a scene to what the page is told, in one language: a small JSON document that is the same until something changes."""

import hashlib
import json
from typing import Any

from station_agent.i18n import translate
from station_agent.kiosk.desk import Prompt, Scene
from station_agent.kiosk.words import DOOR, SILENT, WELCOME, WELCOME_WITHOUT_FACE, Saying, symbol_of, tone_of
from station_agent.texts import TEXTS


def document(scene: Scene, language: str, *, face: bool, enrol: dict[str, Any]) -> dict[str, Any]:
    """Everything the page shows of the agent.

    Args:
        scene: the door now.
        language: of its texts.
        face: entry by face is on.
        enrol: what ``enrol.view`` says of a session.
    """
    saying = _saying(scene, face=face)
    shown: dict[str, Any] = {
        "door": {
            "state": scene.state.value if scene.state else None,
            "short": translate(saying.short, language),
            "text": translate(saying.text, language),
            "tone": saying.tone,
            "symbol": saying.symbol,
            "key": saying.text,
        },
        "prompt": None if scene.prompt is None else prompt(scene.prompt, language),
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


def reason_text(code: str, language: str) -> str:
    """The sentence of a reason code; a code without one is shown as it is, which a test forbids."""
    return translate(TEXTS.get(code, code), language)


def _saying(scene: Scene, *, face: bool) -> Saying:
    if scene.state is None:
        return SILENT
    saying = DOOR[scene.state]
    return WELCOME_WITHOUT_FACE if saying is WELCOME and not face else saying


def _version(shown: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]
