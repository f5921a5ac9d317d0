"""The voice: real sound where espeak-ng is installed, silence where it is not, and never an arbitrary sentence."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from station_agent.i18n import translate
from station_agent.kiosk.voice import Espeak, Silence, open_voice
from station_agent.kiosk.words import WELCOME
from tests.support.parts import program, require


@pytest.fixture
def voice() -> Espeak:
    found = program("espeak-ng")
    require(found, "no espeak-ng; on Debian: apt-get install espeak-ng")
    assert found
    return Espeak(found)


@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_a_sentence_can_be_heard(voice: Espeak, language: str) -> None:
    sound = voice.wav(translate(WELCOME.text, language), language)
    assert sound is not None
    with wave.open(io.BytesIO(sound)) as opened:
        seconds = opened.getnframes() / opened.getframerate()
        samples = np.frombuffer(opened.readframes(opened.getnframes()), np.int16)
    assert 1.0 < seconds < 10.0
    assert np.abs(samples).max() > 3000
    assert np.mean(np.abs(samples) > 300) > 0.2


def test_a_sentence_is_made_once(voice: Espeak) -> None:
    assert voice.wav("请进。", "zh_CN") is voice.wav("请进。", "zh_CN")


def test_a_sentence_that_looks_like_an_option_is_only_spoken(voice: Espeak, tmp_path: Path) -> None:
    assert voice.wav(f"-w {tmp_path}/out.wav", "en")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_fails_is_silence() -> None:
    assert Espeak("/bin/false").wav("Hello.", "en") is None
    assert Espeak("/nowhere/espeak-ng").wav("Hello.", "en") is None
    assert Espeak("/bin/true").wav("Hello.", "en") is None


def test_where_nobody_wants_a_voice_there_is_silence() -> None:
    voice = open_voice(wanted=False)
    assert isinstance(voice, Silence)
    assert (voice.available, voice.wav("Hello.", "en")) == (False, None)


def test_without_the_program_there_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert isinstance(open_voice(wanted=True), Silence)
