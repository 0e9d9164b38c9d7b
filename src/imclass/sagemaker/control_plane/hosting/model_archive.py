"""Unpacks the archive of a model into /opt/ml/model, as the platform does before it starts a container.

All files are kept, not those of a model alone: the SageMaker SDK adds programs to archives, which do no harm. Links,
devices and names that lead elsewhere are refused by `tarfile`'s filter `data`.
"""

import tarfile
import zlib
from pathlib import Path

from imclass.errors import ArtifactError

VOLUME_BYTES = 30 << 30
"""What an archive may unpack to."""


def unpack_model(archive: Path, folder: Path) -> None:
    """Unpack a `model.tar.gz`.

    Args:
        folder: made when missing.

    Raises:
        ArtifactError: it is no such archive, is damaged or unsafe, or too large.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as members:
            size = 0
            for member in members:
                size += member.size
                if size > VOLUME_BYTES:
                    raise ArtifactError(f"it unpacks to more than {VOLUME_BYTES:,} bytes", where="the model's archive")
                members.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ArtifactError(
            f"it cannot be unpacked: {error}",
            where="the model's archive",
            fix="ModelDataUrl must name a model.tar.gz, as training jobs write it.",
        ) from error
