"""Every text a page can show exists in both languages."""

import re
from collections.abc import Iterable, Mapping

import pytest
from babel.messages.catalog import Message

from cloud_hub.alerts import rules
from cloud_hub.commands.acts import VERBS
from cloud_hub.console import labels, order_words
from cloud_hub.i18n import LANGUAGES, catalogue_path
from cloud_hub.models.access import Role
from cloud_hub.models.alert import AlertState, Severity
from cloud_hub.models.command import CommandState
from cloud_hub.models.station import Presence
from firmware_config.vocabulary import DoorMode, DoorState, EventKind
from tests.support.catalogues import catalogue, ids, texts
from tests.support.web import Office

TABLES: list[tuple[Iterable[str], Mapping[str, object]]] = [
    (AlertState, labels.ALERT_STATES),
    (CommandState, order_words.HINTS),
    (CommandState, order_words.STATES),
    (DoorMode, order_words.MODES),
    (VERBS, order_words.VERBS),
    (VERBS, order_words.MEANINGS),
    (VERBS, order_words.ACT_REASONS),
    (order_words.DEATHS, order_words.ADVICE),
    (DoorState, labels.DOOR_STATES),
    (EventKind, labels.EVENT_KINDS),
    (Presence, labels.PRESENCES),
    (Role, labels.ROLES),
    (Severity, labels.SEVERITIES),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_holds_exactly_the_texts_that_are_used(language: str) -> None:
    used, held = ids(texts()), ids(catalogue(language))
    assert (sorted(map(str, used - held)), sorted(map(str, held - used))) == ([], [])


def strings(message: Message) -> list[str]:
    """The translation, in each of its numbers."""
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_or_fuzzy(language: str) -> None:
    unfinished = [
        message.id
        for message in catalogue(language)
        if message.id and (message.fuzzy or not strings(message) or not all(strings(message)))
    ]
    assert unfinished == []


def test_english_is_its_own_translation() -> None:
    assert [
        message.id
        for message in catalogue("en")
        if message.id
        and message.string not in {message.id, tuple(message.id) if message.pluralizable else None}
    ] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_names_the_same_values_as_its_text(language: str) -> None:
    def values(text: str) -> set[str]:
        return set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", text))

    wrong = []
    for message in catalogue(language):
        sources = [message.id] if isinstance(message.id, str) else list(message.id)
        if message.id and any(values(string) != values(sources[-1]) for string in strings(message)):
            wrong.append(message.id)
    assert wrong == []


@pytest.mark.parametrize(("codes", "table"), TABLES, ids=lambda value: getattr(value, "__name__", "words"))
def test_every_code_has_words(codes: Iterable[str], table: Mapping[str, object]) -> None:
    assert set(table) == {str(code) for code in codes}


def test_every_kind_of_alert_has_words() -> None:
    of_the_hub = {
        rules.OVER_CAPACITY,
        rules.SILENT,
        rules.STORE_LOST,
        rules.CONTRADICTED,
        rules.SIGNER_REFUSED,
        rules.ROSTER_BEHIND,
        rules.LIVENESS_OFF,
        rules.ERASURE_UNRECEIPTED,
    }
    assert set(labels.ALERT_KINDS) == of_the_hub
    assert {kind.value for kind in rules.RULES} <= set(labels.EVENT_KINDS)


def test_catalogues_are_text_files_and_nothing_is_compiled() -> None:
    assert [path.name for path in catalogue_path("en").parent.iterdir()] == ["messages.po"]


def test_the_language_is_the_settings_until_somebody_chooses(office: Office) -> None:
    assert 'lang="zh-CN"' in office.browser().get("/sign-in").text


def test_a_choice_is_kept_in_the_browser_and_with_the_account(office: Office) -> None:
    first = office.signed_in()
    assert first.post("/language", form_at="/", language="en", next="/alerts").location == "/alerts"
    assert 'lang="en"' in first.get("/").text
    elsewhere = office.signed_in()
    assert 'lang="en"' in elsewhere.get("/").text


def test_a_language_that_is_not_offered_is_refused(office: Office) -> None:
    assert office.browser().post("/language", language="xx").status_code == 422
