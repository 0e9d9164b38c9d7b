"""Where a container runs, and what it leaves: its environment, and its folders as archives in S3."""

import gzip
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, is_temporary
from imclass.sagemaker.layout import ROOT_VARIABLE, Layout

COMPRESSION = 1
"""Weights are all but random: more effort takes time and saves nothing."""
INHERITED_VARIABLES = (
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "TMPDIR",
    "VIRTUAL_ENV",
    "HF_HOME",
    "HF_HUB_OFFLINE",
)
"""What a job gets from the server's environment: no credentials are among them."""


def container_environment(
    own: Mapping[str, str], share: Mapping[str, str], layout: Layout, account: Account
) -> dict[str, str]:
    """The environment of a container's process; none of the server's secrets are in it.

    Args:
        own: variables of what it runs, which win over those of the machine.
        share: what keeps it to its share of the machine.
    """
    return {
        **{name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ},
        **share,
        **own,
        "AWS_REGION": account.region,
        "AWS_DEFAULT_REGION": account.region,
        ROOT_VARIABLE: str(layout.root),
    }


def upload_folder(folder: Path, buckets: Buckets, place: Place) -> bool:
    """Pack what is in a folder into one object, which appears when it is complete.

    Returns:
        False when there is nothing in it; then there is no object.

    Raises:
        UserError: the bucket is gone, or has no space.
    """
    names = sorted(path for path in folder.iterdir() if not is_temporary(path.name)) if folder.is_dir() else []
    if not names:
        return False
    with (
        buckets.pending(place) as target,
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=COMPRESSION) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for path in names:
            archive.add(path, path.name, filter=_nobodys)
    return True


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member without the names of this machine's users."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
