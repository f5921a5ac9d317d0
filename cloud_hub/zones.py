"""Time zones of stations. A name nobody knows becomes the default instead of breaking a page."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DEFAULT_ZONE: Final = "Asia/Shanghai"


@lru_cache(maxsize=512)
def zone(name: str | None) -> ZoneInfo:
    """A station's time zone; a name nobody knows becomes the default instead of breaking the page."""
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(DEFAULT_ZONE)
