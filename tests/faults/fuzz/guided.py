"""One target under atheris. ``python -m tests.faults.fuzz.guided TARGET CORPUS [libFuzzer options]``; a crash ends it."""

import sys

import atheris

with atheris.instrument_imports(include=["firmware_config", "cloud_hub.ingest", "station_agent"]):
    from tests.faults.fuzz.targets import targets


def main(arguments: list[str]) -> None:
    """Never returns."""
    target = targets()[arguments[1]]

    def feed(data: bytes) -> None:
        try:
            target.feed(data)
        except target.verdicts:
            return

    atheris.Setup([arguments[0], *arguments[2:]], feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
