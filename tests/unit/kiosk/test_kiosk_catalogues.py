"""Every sentence of the kiosk exists in both languages, and the notice cannot change without a new version."""

import hashlib
import re

import pytest

from firmware_config.catalogues import LANGUAGES
from firmware_config.vocabulary import DoorState
from station_agent.core.enrolment import NOTICE_VERSION
from station_agent.i18n import catalogue_path, translate
from station_agent.kiosk.notice import PARAGRAPHS
from station_agent.kiosk.words import DOOR, SCRIPT
from station_agent.texts import TEXTS
from tests.support.catalogues import AGENT, catalogue, ids, texts

NOTICES = {1: "c26593b42ee0cc9eefd6d011619b68bd32f5880cdfadee1b13467c27ba5193bd"}
"""By version, what the notice said: SHA-256 of the English and the Chinese text."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_agents_catalogue_holds_exactly_the_texts_that_are_used(language: str) -> None:
    used, held = ids(texts(AGENT)), ids(catalogue(language, AGENT))
    assert (sorted(map(str, used - held)), sorted(map(str, held - used))) == ([], [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_names_the_same_values(language: str) -> None:
    def values(text: object) -> set[str]:
        return set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", str(text)))

    for message in catalogue(language, AGENT):
        if message.id:
            assert message.string, message.id
            assert not message.fuzzy, message.id
            assert values(message.string) == values(message.id), message.id


def test_english_is_its_own_translation_and_chinese_is_not() -> None:
    assert all(message.string == message.id for message in catalogue("en", AGENT) if message.id)
    same = [str(m.id) for m in catalogue("zh_CN", AGENT) if m.id and m.string == m.id]
    assert same == []


def test_every_reason_of_the_station_is_in_the_catalogue() -> None:
    assert set(TEXTS.values()) <= ids(catalogue("zh_CN", AGENT))
    assert set(SCRIPT.values()) <= ids(catalogue("zh_CN", AGENT))
    assert set(DOOR) == set(DoorState)


def test_who_changes_the_notice_raises_its_version() -> None:
    said = [translate(text, language) for language in ("en", "zh_CN") for part in PARAGRAPHS for text in part]
    assert hashlib.sha256("\n".join(said).encode()).hexdigest() == NOTICES[NOTICE_VERSION]


def test_catalogues_are_text_files_and_nothing_is_compiled() -> None:
    assert [path.name for path in catalogue_path("en").parent.iterdir()] == ["messages.po"]
