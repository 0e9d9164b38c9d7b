"""Where the cache of remote data is, and what a path in it is a copy of."""

import json
from pathlib import Path

from imclass.cache_folder import cache_folder as folder_for
from imclass.data.remote.addresses import Address
from imclass.errors import DataError

FILES = "files"
ADDRESS = "address"


def cache_folder() -> Path:
    """Where remote data are kept."""
    return folder_for("remote")


def origin(path: Path) -> Address | None:
    """The address that a path in the cache is a copy of; None for any other path."""
    try:
        parts = path.absolute().relative_to(cache_folder()).parts
    except ValueError:
        return None
    if len(parts) < 3 or parts[2] != FILES:
        return None
    note = cache_folder() / parts[0] / ADDRESS
    try:
        base = Address(*json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError("the note of an address is damaged", where=str(note), fix="Remove its folder.") from error
    return base / "/".join(parts[3:]) if len(parts) > 3 else base
