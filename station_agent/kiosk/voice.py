"""Sentences as sound, made on this machine by the program espeak-ng. Without it there is silence, and nothing else is missing.

The page at the door plays what it gets; the agent itself touches no sound card. Only sentences of the catalogues are
ever spoken. Called from the web server's threads.
"""

import logging
import shutil
import subprocess
from functools import lru_cache
from typing import Final, Protocol

log = logging.getLogger(__name__)

PROGRAM: Final = "espeak-ng"
LIMIT_S: Final = 5.0
WORDS_PER_MINUTE: Final = {"zh_CN": 165, "en": 150}
_HEADER_BYTES: Final = 44
VOICES: Final = {"zh_CN": "cmn", "en": "en"}


class Voice(Protocol):
    """Speaks one language or another."""

    @property
    def available(self) -> bool:
        """There is something to be heard."""

    def wav(self, text: str, language: str) -> bytes | None:
        """A sentence as a WAV file; None for silence."""


class Silence:
    """Says nothing."""

    available = False

    def wav(self, text: str, language: str) -> bytes | None:
        """Nothing."""
        del text, language
        return None


class Espeak:
    """espeak-ng as a program of its own. Sentences already made are kept: there are few of them."""

    available = True

    def __init__(self, program: str) -> None:
        self._make = lru_cache(maxsize=256)(lambda text, language: _make(program, text, language))

    def wav(self, text: str, language: str) -> bytes | None:
        """A sentence as a WAV file; None when the program fails."""
        try:
            return self._make(text, language)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("voice_failed", extra={"error": repr(error)})
            return None


def _make(program: str, text: str, language: str) -> bytes:
    done = subprocess.run(  # noqa: S603 (found on PATH; the sentence goes to its standard input)
        [program, "-v", VOICES[language], "-s", str(WORDS_PER_MINUTE[language]), "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )
    return _sized(done.stdout)


def _sized(wav: bytes) -> bytes:
    """With true lengths: written to a pipe, the header only says "very long"."""
    if len(wav) <= _HEADER_BYTES:
        raise subprocess.SubprocessError("no sound")
    whole, sound = (len(wav) - 8).to_bytes(4, "little"), (len(wav) - _HEADER_BYTES).to_bytes(4, "little")
    return wav[:4] + whole + wav[8 : _HEADER_BYTES - 4] + sound + wav[_HEADER_BYTES:]


def open_voice(*, wanted: bool) -> Voice:
    """espeak-ng where it is installed and wanted, else silence."""
    program = shutil.which(PROGRAM) if wanted else None
    return Espeak(program) if program else Silence()
