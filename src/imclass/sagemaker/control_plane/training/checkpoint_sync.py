"""Checkpoints in S3, kept in step with the folder of a running job."""

from pathlib import Path

from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, is_temporary

Stamp = tuple[int, int, int]
"""Inode, size and time of change of a file."""


class CheckpointSync:
    """Brings changes of a folder to S3: new and changed files are copied, removed ones are deleted.

    Args:
        folder: of checkpoints; what is in it at the beginning came from S3, or was brought there before.
        place: what the keys begin with.
    """

    def __init__(self, folder: Path, buckets: Buckets, place: Place) -> None:
        self._folder = folder
        self._buckets = buckets
        self._place = place
        self._known: dict[str, Stamp] = {}

    def bring(self) -> None:
        """Bring over what has changed since the last time.

        Raises:
            UserError: the bucket is gone, or has no space.
        """
        now = self._stamps()
        for name, stamp in now.items():
            if self._known.get(name) != stamp:
                try:
                    self._buckets.put(self._folder / name, self._place.below(name))
                except FileNotFoundError:  # removed in this moment: the next time it is not among them
                    continue
                self._known[name] = stamp
        for name in self._known.keys() - now.keys():
            self._buckets.remove(self._place.below(name))
            del self._known[name]

    def _stamps(self) -> dict[str, Stamp]:
        found = {}
        for path in self._folder.rglob("*"):
            if is_temporary(path.name):
                continue
            try:
                status = path.stat()
            except FileNotFoundError:  # removed in this moment
                continue
            if path.is_file():
                name = path.relative_to(self._folder).as_posix()
                found[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found
