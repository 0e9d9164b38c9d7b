"""Keeps remote data on this machine: snapshots that never change, made anew when the remote data do.

::

    IMCLASS_CACHE/remote/              ~/.cache/imclass/remote without the variable
      s3-bucket-1f0c.../               one folder for each address and endpoint
        address                        JSON: scheme, bucket or host, and key
        lock                           held by the one process that fetches
        current                        JSON: the newest snapshot, and when its objects were compared
        5b7d.../                       a snapshot; its name is the hash of all keys, sizes and ETags
          objects.json                 [[path, key, size, version], ...]
          files/                       the objects, named by their keys
        5b7d....lock                   shared by the processes that use the snapshot
        90aa....partial/               a snapshot to be; its finished files are used again

A snapshot is made beside the others and renamed when it is complete, so a killed download leaves no half file
and no half folder. Unchanged objects are hard links, which take no time and no room. Snapshots that no process
uses any more are removed when a newer one is made.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imclass.data.remote.addresses import Address
from imclass.data.remote.credentials import first_endpoint
from imclass.data.remote.downloading import ROOM_NEEDED, Wanted, download
from imclass.data.remote.locks import exclusive, is_in_use, keep_shared
from imclass.data.remote.places import ADDRESS, FILES, cache_folder
from imclass.data.remote.reporting import reported
from imclass.data.remote.stores import Store
from imclass.errors import DataError
from imclass.pending_file import PendingFile

OBJECTS = "objects.json"
CURRENT = "current"
INCOMING = "incoming"
PARTIAL = ".partial"

# What a file system answers that has no hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV)


def place_of(address: Address, kind: str = "") -> Path:
    """The folder of an address in the cache; the same for all that reads it, another for another endpoint."""
    endpoint = (first_endpoint() or "") if address.scheme == "s3" else os.environ.get("GOOGLE_BASE_URL", "")
    digest = hashlib.sha256("\n".join((str(address), endpoint, kind)).encode()).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9.-]", "-", address.container)[:60]
    return cache_folder() / f"{address.scheme}-{readable}-{digest}"


@dataclass(frozen=True)
class Request:
    """What is to be in the cache.

    Attributes:
        name: names it to the user.
        base: the folder that paths are relative to.
        kind: tells requests of the same base apart that want different objects.
        list_objects: looks for the objects.
        store: where they are.
        quiet: report nothing.
    """

    name: str
    base: Address
    kind: str
    list_objects: Callable[[], Sequence[Wanted]]
    store: Store
    quiet: bool


def fetch(request: Request) -> Path:
    """Bring objects into the cache, unless they are there already, unchanged.

    Of the processes of a machine that ask for the same at the same time one fetches, and the others take what it
    has got.

    Returns:
        The folder of the files. It stays as it is while this process lives, whatever happens to the objects.

    Raises:
        DataError: objects that cannot be listed or read, or a cache that cannot be written.
    """
    place = place_of(request.base, request.kind)
    asked = time.time_ns()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with exclusive(place / "lock") as sign_of_life:
            snapshot = _compared_since(place, asked) or _updated(place, request, sign_of_life)
            keep_shared(_lock_of(snapshot))
            _remove_unused(place, snapshot)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=str(place), fix=ROOM_NEEDED) from error
    return snapshot / FILES


def _compared_since(place: Path, asked: int) -> Path | None:
    """The snapshot that another process has compared with the objects while this one waited, if any."""
    try:
        current = json.loads((place / CURRENT).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    snapshot = place / str(current["snapshot"])
    return snapshot if current["compared"] >= asked and snapshot.is_dir() else None


def _updated(place: Path, request: Request, sign_of_life: Callable[[], None]) -> Path:
    """The snapshot of the objects as they are now."""
    base = request.base
    _write(place / ADDRESS, json.dumps([base.scheme, base.container, base.key]).encode())
    wanted = request.list_objects()
    compared = time.time_ns()
    snapshot = place / _digest(wanted)
    partial = place / (snapshot.name + PARTIAL)
    if snapshot.is_dir() and not _is_complete(snapshot, wanted):
        snapshot.rename(partial) if not partial.exists() else shutil.rmtree(snapshot)
    if not snapshot.is_dir():
        _prepare(partial, wanted)
        missing = _take_over(place, partial, wanted)
        size = sum(one.file.size for one in missing)
        with reported(request.name, len(missing), size, request.quiet or not missing) as advance:

            def told(files: int, size: int) -> None:
                sign_of_life()
                advance(files, size)

            download(request.store, missing, partial / FILES, partial / INCOMING, told)
        shutil.rmtree(partial / INCOMING)
        partial.rename(snapshot)
    _write(place / CURRENT, json.dumps({"snapshot": snapshot.name, "compared": compared}).encode())
    return snapshot


def _digest(wanted: Sequence[Wanted]) -> str:
    rows = sorted(_row(one) for one in wanted)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:24]


def _row(one: Wanted) -> tuple[str, str, int, str]:
    return one.path, one.file.key, one.file.size, one.file.version


def _is_complete(snapshot: Path, wanted: Sequence[Wanted]) -> bool:
    return all(_has_size(snapshot / FILES / one.path, one.file.size) for one in wanted)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _prepare(partial: Path, wanted: Sequence[Wanted]) -> None:
    """Make the folder of a snapshot to be, without what a killed download left half done in it."""
    shutil.rmtree(partial / INCOMING, ignore_errors=True)
    (partial / FILES).mkdir(parents=True, exist_ok=True)
    (partial / INCOMING).mkdir(exist_ok=True)  # a thread of a fetch that was given up may hold it
    _write(partial / OBJECTS, json.dumps([_row(one) for one in wanted]).encode())


def _take_over(place: Path, partial: Path, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Link what other snapshots hold unchanged; return the rest."""
    known = {row: path for folder in _snapshots(place) if folder != partial for row, path in _held_by(folder)}
    missing = []
    for one in wanted:
        target = partial / FILES / one.path
        if _has_size(target, one.file.size):
            continue  # done before an interruption
        source = known.get((one.file.key, one.file.size, one.file.version))
        if source is None:
            missing.append(one)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(source, target, partial / INCOMING / "copy")
    return missing


def _snapshots(place: Path) -> list[Path]:
    return [entry for entry in place.iterdir() if entry.is_dir()]


def _held_by(folder: Path) -> Iterator[tuple[tuple[str, int, str], Path]]:
    """Yield key, size and version of what a snapshot holds, and where."""
    try:
        rows = json.loads((folder / OBJECTS).read_bytes())
    except (FileNotFoundError, ValueError):
        return
    for path, key, size, version in rows:
        if _has_size(folder / FILES / path, size):
            yield (key, size, version), folder / FILES / path


def _link(source: Path, target: Path, temporary: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, temporary)
        temporary.replace(target)


def _remove_unused(place: Path, newest: Path) -> None:
    """Remove the snapshots that no process uses. The lock of the place is held, so none begins to meanwhile."""
    for folder in _snapshots(place):
        if folder != newest and not is_in_use(_lock_of(folder)):
            shutil.rmtree(folder)
            _lock_of(folder).unlink(missing_ok=True)


def _lock_of(snapshot: Path) -> Path:
    return snapshot.with_name(snapshot.name + ".lock")


def _write(path: Path, content: bytes) -> None:
    with PendingFile(path, DataError) as file:
        file.write(content)
