"""The folder of the results: on this machine, or in a bucket. Every file in it appears complete or not at all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imclass.data.remote.addresses import Address, is_remote, parse_address
from imclass.inference.transform.work_folder import make_folder
from imclass.pending_file import PendingFile, remove_left_over

if TYPE_CHECKING:
    from imclass.data.remote.stores import Store

UPLOAD = "upload"
CONNECTIONS = 16
"""Results that are written to a bucket at a time: a request takes tens of milliseconds, whatever its size."""


class OutputFolder(Protocol):
    """Holds files by name: their path relative to the folder, with forward slashes."""

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Bytes of those of the files that exist."""
        ...

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write small files, each in one step.

        Raises:
            UserError: one cannot be written.
        """
        ...

    def put(self, name: str, make: Callable[[Path], None]) -> None:
        """Put a file in place that `make` writes, in one step, to the path that it is given.

        Raises:
            UserError: it cannot be written.
        """
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove those of the files that exist."""
        ...

    def clean(self, names: Iterable[str]) -> None:
        """Remove what a killed process left half-way of these files, which nobody else writes now."""
        ...


def open_output(place: str | Path, scratch: Path) -> OutputFolder:
    """Open a folder for results; one on this machine is made when missing.

    Args:
        place: a path, or the address of a folder in a bucket as text.
        scratch: a folder for files that are to be uploaded.

    Raises:
        UserError: it cannot be made, or settings of the bucket are missing.
    """
    if is_remote(place):
        return BucketFolder(parse_address(str(place)), scratch)
    return LocalFolder(Path(place))


class LocalFolder:
    """A folder on this machine, made when missing.

    Raises:
        UserError: it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        make_folder(root)
        self._root = root
        self._made: set[Path] = set()

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """As `OutputFolder.sizes`."""
        return dict(self._found(names))

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """As `OutputFolder.write`. A power failure, but not the end of the process, can leave empty files."""
        for name, content in files:
            path = self._root / name
            if path.parent not in self._made:
                make_folder(path.parent)
                self._made.add(path.parent)
            with PendingFile(path, to_disk=False) as file:
                file.write(content)

    def put(self, name: str, make: Callable[[Path], None]) -> None:
        """As `OutputFolder.put`."""
        make_folder((self._root / name).parent)
        self.clean([name])
        make(self._root / name)

    def remove(self, names: Sequence[str]) -> None:
        """As `OutputFolder.remove`."""
        for name in names:
            (self._root / name).unlink(missing_ok=True)

    def clean(self, names: Iterable[str]) -> None:
        """As `OutputFolder.clean`."""
        by_folder: dict[Path, set[str]] = {}
        for path in (self._root / name for name in names):
            by_folder.setdefault(path.parent, set()).add(path.name)
        for folder, own in by_folder.items():
            remove_left_over(folder, own)

    def _found(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                yield name, (self._root / name).stat().st_size


class BucketFolder:
    """A folder of a bucket, as it was listed when it was opened, and with what was written to it since.

    Args:
        address: of the folder.
        scratch: a folder for files that are to be uploaded; one upload at a time.

    Raises:
        DataError: settings are missing or wrong, no such bucket, no access, no connection.
    """

    def __init__(self, address: Address, scratch: Path) -> None:
        from imclass.data.remote.stores import Store

        self._store: Store = Store(address)
        self._prefix = f"{address.key}/" if address.key else ""
        self._scratch = scratch
        start = len(self._prefix)
        self._sizes = {file.key[start:]: file.size for file in self._store.below(address.key)}

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """As `OutputFolder.sizes`."""
        return {name: self._sizes[name] for name in names if name in self._sizes}

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """As `OutputFolder.write`, many at a time."""
        from imclass.data.remote.parallel import in_parallel

        for name, size in in_parallel(partial(_write_object, self._store, self._prefix), files, CONNECTIONS):
            self._sizes[name] = size

    def put(self, name: str, make: Callable[[Path], None]) -> None:
        """As `OutputFolder.put`."""
        path = self._scratch / UPLOAD
        try:
            make(path)
            self._store.upload(self._prefix + name, path)
            self._sizes[name] = path.stat().st_size
        finally:
            path.unlink(missing_ok=True)

    def remove(self, names: Sequence[str]) -> None:
        """As `OutputFolder.remove`."""
        existing = [name for name in names if name in self._sizes]
        self._store.remove([self._prefix + name for name in existing])
        for name in existing:
            del self._sizes[name]

    def clean(self, names: Iterable[str]) -> None:
        """As `OutputFolder.clean`: what was not uploaded completely is no object."""


def _write_object(store: "Store", prefix: str, file: tuple[str, bytes]) -> list[tuple[str, int]]:
    name, content = file
    store.write(prefix + name, content)
    return [(name, len(content))]
