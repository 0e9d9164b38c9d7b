"""Where this machine keeps what can be had again: remote data, compiled networks."""

import os
from pathlib import Path

VARIABLE = "IMCLASS_CACHE"


def cache_folder(part: str) -> Path:
    """The folder for one kind of such things: `$IMCLASS_CACHE/part`, or below the user's own cache folder."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute() / part
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "imclass" / part
