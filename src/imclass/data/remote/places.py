"""Where the cache of remote data is, and what a path in it is a copy of."""

import json
import os
from pathlib import Path

from imclass.data.remote.addresses import Address
from imclass.errors import DataError

VARIABLE = "IMCLASS_CACHE"
FILES = "files"
ADDRESS = "address"


def cache_folder() -> Path:
    """Where remote data are kept: `$IMCLASS_CACHE/remote`, or below the user's own cache folder."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute() / "remote"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "imclass" / "remote"


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
