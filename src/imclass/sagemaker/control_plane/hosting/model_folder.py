"""The model of a variant, unpacked to a folder that all of its instances read."""

import shutil
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.hosting.deployment import Variant
from imclass.sagemaker.control_plane.hosting.model_archive import unpack_model
from imclass.sagemaker.control_plane.hosting.served_models import data_at
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, link_objects


def make_model_folder(variant: Variant, buckets: Buckets, folder: Path) -> None:
    """Make the folder; it appears when it is complete, and one that is there already stays.

    Raises:
        UserError: the model is gone, or its archive cannot be unpacked.
    """
    if folder.is_dir():
        return
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an attempt that a restart has ended
    unfinished.mkdir(parents=True)
    found = data_at(variant.model_data, buckets, is_archive=variant.is_archive)
    if not found:
        raise UserError(
            "there is no model data any more", where=variant.model_data, fix="Put it there, and create a model anew."
        )
    if variant.is_archive:
        unpack_model(found[0].file, unfinished)
    else:
        link_objects(found, Place.of(variant.model_data).key, unfinished)
    unfinished.rename(folder)
