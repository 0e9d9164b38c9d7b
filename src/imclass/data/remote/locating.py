"""The front door: from what the user typed to a path on this machine, or to records that are streamed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imclass.data.remote.addresses import Address, parse_address
from imclass.data.remote.cache import Request, fetch
from imclass.data.remote.downloading import Wanted
from imclass.data.remote.faults import AccessDeniedError
from imclass.data.remote.naming import check_names
from imclass.data.remote.records import StreamedFile
from imclass.data.remote.stores import RemoteFile, Store
from imclass.errors import DataError

RECORDS = ".rec"
INDEX = ".idx"
_FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class StreamedSource:
    """`.rec` objects that are to be read where they are.

    Attributes:
        name: the address.
        files: at least one.
    """

    name: str
    files: tuple[StreamedFile, ...]


def fetched(text: str, quiet: bool = False) -> Path:
    """Bring what is at an address into the cache.

    Args:
        text: an object, or a folder of a bucket, with everything below it.
        quiet: do not report on standard error.

    Returns:
        The file or folder here.

    Raises:
        DataError: there is nothing, it cannot be read, or it cannot become files.
    """
    address = parse_address(text)
    store = Store(address)
    single = _single(address, store)
    if single is not None:
        names = [found.key.rpartition("/")[2] for found in single]
        wanted = [Wanted(name, found) for name, found in zip(names, single, strict=True)]
        check_names(names, [1 for _ in names], str(address))
        return fetch(Request(str(address), address.parent, address.name, lambda: wanted, store, quiet)) / names[0]
    return fetch(Request(str(address), address, _FOLDER, lambda: _below(address, store), store, quiet))


def streamed(text: str) -> StreamedSource:
    """Find the `.rec` object at an address, or those below it.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    address = parse_address(text)
    store = Store(address)
    single = _single(address, store)
    if single is not None:
        if address.suffix != RECORDS:
            raise DataError("only .rec files can be streamed", where=str(address), fix="Leave --stream out.")
        return StreamedSource(str(address), (_with_index(store, single),))
    found = {one.file.key: one.file for one in _below(address, store)}
    records = sorted(key for key in found if key.lower().endswith(RECORDS))
    if not records:
        raise DataError(
            f"only .rec files can be streamed, and none of the {len(found)} objects is one",
            where=str(address),
            fix="Leave --stream out, or pack the images: imclass pack SOURCE --output OUT.rec.",
        )
    files = [StreamedFile(store, found[key], found.get(key[: -len(RECORDS)] + INDEX)) for key in records]
    return StreamedSource(str(address), tuple(files))


def _with_index(store: Store, single: Sequence[RemoteFile]) -> StreamedFile:
    return StreamedFile(store, single[0], single[1] if len(single) > 1 else None)


def _single(address: Address, store: Store) -> list[RemoteFile] | None:
    """The object of this very key, and the `.idx` beside a `.rec`; None where the key can only be a folder."""
    if not address.key:
        return None
    found = store.existing(address.key) if address.is_web else store.find(address.key)
    if found is None or (found.size == 0 and not address.is_web and next(store.below(address.key), None)):
        return None
    if address.suffix != RECORDS:
        return [found]
    beside = _find_beside(address.key[: -len(RECORDS)] + INDEX, store)
    return [found, beside] if beside is not None else [found]


def _find_beside(key: str, store: Store) -> RemoteFile | None:
    """An object that need not be there. Who may not list a bucket is told "denied" of what is missing, and a signed
    link opens one file only."""
    try:
        return store.find(key)
    except AccessDeniedError:
        return None


def _below(address: Address, store: Store) -> list[Wanted]:
    """All objects in a folder, with the paths of the files that they are to become."""
    start = len(address.key) + 1 if address.key else 0
    objects = [found for found in store.below(address.key) if len(found.key) > start]
    if not objects:
        raise DataError(
            "there is no such object, and nothing is in a folder of this name",
            where=str(address),
            fix="Check the name: letter case counts, and a folder must be named in full.",
        )
    paths = [found.key[start:] for found in objects]
    is_file = check_names(paths, [found.size for found in objects], str(address))
    return [Wanted(path, found) for path, found, kept in zip(paths, objects, is_file, strict=True) if kept]
