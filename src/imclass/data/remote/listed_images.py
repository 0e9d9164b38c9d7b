"""The images that a list or a manifest names, where these are on other machines."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from imclass.data.remote.addresses import Address, remote_address
from imclass.data.remote.cache import Request, fetch
from imclass.data.remote.downloading import CONNECTIONS, Wanted
from imclass.data.remote.faults import AccessDeniedError
from imclass.data.remote.naming import check_names
from imclass.data.remote.parallel import in_parallel
from imclass.data.remote.stores import RemoteFile, Store
from imclass.errors import DataError, listing

FEWEST_TO_LIST = 20
"""A folder is listed when so many of its objects are wanted; others are asked for one by one."""
MOST_LISTED = 20
"""A listing is given up after so many times the wanted objects, as most of the folder is not wanted."""


def fetch_listed(references: Sequence[str], base: Address | None, name: str, quiet: bool = False) -> dict[str, Path]:
    """Bring the remote ones of the images in a list into the cache.

    Args:
        references: what the list says.
        base: the folder of the list, if it is remote itself.
        name: names the list.

    Returns:
        Reference -> file here, for those that are remote. An object that is missing has no file, so that reading
        it fails as it does for a missing file.

    Raises:
        DataError: references that name no object, no access, no connection.
    """
    addresses: dict[str, Address] = {}
    problems = []
    for reference in dict.fromkeys(references):
        try:
            address = remote_address(reference, base)
        except ValueError as error:
            problems.append(str(error))
            continue
        if address is not None:
            addresses[reference] = address
    if problems:
        raise DataError("images that cannot be fetched\n" + listing(problems), where=name)
    files: dict[str, Path] = {}
    for root in dict.fromkeys(_root(address) for address in addresses.values()):
        chosen = {reference: address for reference, address in addresses.items() if _root(address) == root}
        folder = _fetch_from(root, list(dict.fromkeys(address.key for address in chosen.values())), name, quiet)
        files.update({reference: folder / address.key for reference, address in chosen.items()})
    return files


def _root(address: Address) -> Address:
    return address.with_key("")


def _fetch_from(root: Address, keys: list[str], name: str, quiet: bool) -> Path:
    check_names(keys, [1 for _ in keys], name)
    store = Store(root)
    kind = "listed by " + hashlib.sha256(name.encode()).hexdigest()

    def look_up() -> list[Wanted]:
        return [Wanted(found.key, found) for found in _look_up(store, keys)]

    return fetch(Request(f"images of {name}", root, kind, look_up, store, quiet))


def _look_up(store: Store, keys: list[str]) -> Iterator[RemoteFile]:
    """Yield those of the objects that exist."""
    left = dict.fromkeys(keys)
    wanted_of = Counter(key.rpartition("/")[0] for key in keys)
    for folder, count in wanted_of.items() if not store.address.is_web else ():
        if count < FEWEST_TO_LIST:
            continue
        try:
            for found in islice(store.below(folder), count * MOST_LISTED):
                if found.key in left:
                    del left[found.key]
                    yield found
        except AccessDeniedError:
            break  # who may read objects need not be allowed to list them
    yield from filter(None, in_parallel(lambda key: (store.find(key),), left, CONNECTIONS))
