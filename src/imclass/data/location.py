"""Where data are: a path on this machine, an address on another, or records that are streamed from there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from imclass.data.image_files import printable
from imclass.data.remote.addresses import SCHEMES, Address, is_remote
from imclass.data.remote.places import origin
from imclass.errors import DataError

if TYPE_CHECKING:
    from imclass.data.remote.locating import StreamedSource

    Place: TypeAlias = str | Path | StreamedSource
    """A path, an address as text, or what `located` makes of an address that is to be streamed."""


def local_path(place: str | Path, *, quiet: bool = False) -> Path:
    """Return a path on this machine; what is at an address is fetched first.

    Args:
        place: a path, or an address as text: `s3://`, `gs://`, `https://` or `http://`.
        quiet: do not report a download on standard error.

    Raises:
        DataError: the address is wrong, holds nothing, or cannot be read.
    """
    if not is_remote(place):
        return _path(place)
    from imclass.data.remote.locating import fetched

    return fetched(str(place), quiet)


def located(place: str | Path, *, stream: bool = False, quiet: bool = False) -> "Path | StreamedSource":
    """Return a path on this machine as `local_path`, or with `stream` the records that are at an address.

    Raises:
        DataError: as `local_path`; or what is at the address cannot be streamed.
    """
    if not (stream and is_remote(place)):
        return local_path(place, quiet=quiet)
    from imclass.data.remote.locating import streamed

    return streamed(str(place))


def check_stream(stream: bool, places: Sequence[str | Path | None]) -> None:
    """Refuse to stream where there is nothing to stream.

    Raises:
        DataError: none of the places is an address.
    """
    if stream and not any(place is not None and is_remote(place) for place in places):
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise DataError(
            "only data on another machine can be streamed",
            where="--stream",
            fix=f"Their addresses begin with {schemes}.",
        )


def folder_of_origin(path: Path) -> Address | None:
    """The folder that a list was fetched from, which its relative paths start from; None for a list on this machine."""
    address = origin(path)
    return address.parent if address is not None else None


def remote_images(references: Sequence[str], base: Address | None, name: str) -> dict[str, Path]:
    """Fetch the images in a list that are on other machines; see `imclass.data.remote.listed_images.fetch_listed`."""
    if base is None and not any(map(is_remote, references)):
        return {}
    from imclass.data.remote.listed_images import fetch_listed

    return fetch_listed(references, base, name)


def shown_name(path: Path) -> str:
    """What the user calls a path: the address that it was fetched from, or the path itself."""
    address = origin(path)
    return str(address) if address is not None else printable(path)


def _path(place: str | Path) -> Path:
    """A path; an unknown scheme is no folder called `ftp:`.

    Raises:
        DataError: an address of a scheme that is not read.
    """
    scheme, separator, _ = str(place).partition("://")
    if isinstance(place, str) and separator and scheme.isalnum() and scheme != "file" and not Path(place).exists():
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise DataError(f"{scheme}:// is no address that can be read", where=place, fix=f"Addresses: {known}.")
    return Path(place)
