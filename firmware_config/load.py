"""TOML file to typed, frozen configuration. Every fault of a file is told in one message with file and key."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """A configuration file cannot be used.

    Attributes:
        path: the file.
        faults: one sentence per fault, each starting with the key it is about.
    """

    def __init__(self, path: Path, faults: Iterable[str]) -> None:
        self.path = path
        self.faults = tuple(faults)
        super().__init__("\n".join([f"{path}: cannot be used:", *(f"  {fault}" for fault in self.faults)]))


class Section(BaseModel):
    """A table of a configuration file: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


SectionT = TypeVar("SectionT", bound=Section)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        ConfigError: the file is missing, unreadable, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, [f"is not UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [f"is not TOML: {error}"]) from error


def parse(document: dict[str, Any], kind: type[SectionT], *, path: Path) -> SectionT:
    """Check a parsed document against its type.

    Raises:
        ConfigError: with every fault found, not only the first.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise ConfigError(path, [_sentence(fault) for fault in error.errors(include_url=False)]) from error


def load(path: Path, kind: type[SectionT]) -> SectionT:
    """Read and check one configuration file.

    Raises:
        ConfigError: as for ``read_toml`` and ``parse``.
    """
    return parse(read_toml(path), kind, path=path)


def _sentence(fault: Any) -> str:
    key = ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in fault["loc"]).replace(
        ".[", "["
    )
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
