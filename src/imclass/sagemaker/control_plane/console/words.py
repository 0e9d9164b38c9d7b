"""What values are for people: times, durations, sizes, statuses, and the names of members."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from imclass.sagemaker.control_plane.console.sections import STILL_CHANGING, seconds

UNITS = ("KiB", "MiB", "GiB", "TiB")
GOOD = frozenset({"Completed", "InService", "COMPLETED"})
BAD = frozenset({"Failed", "FAILED", "OutOfService", "UpdateRollbackFailed"})
CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def now() -> float:
    """Seconds since 1970."""
    return time.time()


def moment(value: Any) -> str:
    """A time, in UTC: 2026-01-31 23:59:59."""
    return datetime.fromtimestamp(seconds(value), UTC).strftime("%Y-%m-%d %H:%M:%S")


def machine_time(value: Any) -> str:
    """A time for the attribute `datetime`."""
    return datetime.fromtimestamp(seconds(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(value: float) -> str:
    """A number of seconds: 8 s, 2 min 5 s, 3 h 20 min, 4 d 2 h."""
    whole = max(0, round(value))
    days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def size(value: int) -> str:
    """A number of bytes: 17 bytes, 1.5 MiB."""
    if value < 1024:
        return "1 byte" if value == 1 else f"{value} bytes"
    power = min(len(UNITS), (value.bit_length() - 1) // 10)
    return f"{value / 1024**power:.1f} {UNITS[power - 1]}"


def mood(status: str) -> str:
    """The class of a status on a page: good, bad, busy or calm."""
    if status in GOOD:
        return "good"
    if status in BAD:
        return "bad"
    return "busy" if status in STILL_CHANGING else "calm"


def member(name: str) -> str:
    """The name of a member: InputDataConfig is Input data config."""
    first, *rest = CAPITAL.split(name)
    return " ".join([first, *(word if word.isupper() and len(word) > 1 else word.lower() for word in rest)])


def is_time(name: str) -> bool:
    """Whether a member of this name is a moment."""
    return name.endswith("Time") or name == "Timestamp"


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "machine_time": machine_time,
    "duration": duration,
    "size": size,
    "mood": mood,
    "member": member,
    "is_time": is_time,
}
