"""The model of a variant, unpacked to a folder that all of its instances read."""

import shutil
import tarfile
import zlib
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.buckets import Buckets, Place, S3Object, link_objects
from imclass.sagemaker.control_plane.hosting.deployment import Variant

MOST_BYTES = 16 << 30  # that an archive may unpack to
MOST_MEMBERS = 10_000


def make_model_folder(variant: Variant, buckets: Buckets, folder: Path) -> None:
    """Make the folder; it appears when it is complete, and one that is there already stays.

    Raises:
        UserError: the model is gone, or its archive cannot be unpacked.
    """
    if folder.is_dir():
        return
    place = Place.of(variant.model_data)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an attempt that a restart has ended
    unfinished.mkdir(parents=True)
    found = find_model_data(buckets, place, is_archive=variant.is_archive)
    if not found:
        raise UserError(
            "there is no model data any more", where=variant.model_data, fix="Put it there, and create a model anew."
        )
    if variant.is_archive:
        unpack(found[0].file, unfinished, variant.model_data)
    else:
        link_objects(found, place.key, unfinished)
    unfinished.rename(folder)


def find_model_data(buckets: Buckets, place: Place, *, is_archive: bool) -> list[S3Object]:
    """The archive, or all files of a model that is not packed; nothing if it is not there."""
    return [each for each in buckets.objects(place) if not is_archive or each.key == place.key]


def unpack(file: Path, folder: Path, address: str) -> None:
    """Unpack an archive as the platform does: whatever is in it, as long as it stays in the folder.

    Args:
        address: of the archive, for messages.

    Raises:
        UserError: it is no gzip archive of tar, is damaged, unsafe or too large.
    """
    left = MOST_BYTES
    try:
        with tarfile.open(file, "r:gz") as archive:
            for number, member in enumerate(archive):
                left -= member.size
                if left < 0 or number == MOST_MEMBERS:
                    raise _not_unpacked(address, f"it has more than {MOST_BYTES:,} bytes, or {MOST_MEMBERS:,} members")
                archive.extract(member, folder, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _not_unpacked(address, str(error)) from error


def _not_unpacked(address: str, reason: str) -> UserError:
    return UserError(
        f"the model data cannot be unpacked: {reason}",
        where=address,
        fix="Give the model.tar.gz of a training job, or another tar archive compressed with gzip.",
    )
