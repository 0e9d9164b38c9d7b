"""What requests of several kinds may have wrong, each thing in words for people."""

import re
from collections.abc import Iterable, Mapping

from imclass.sagemaker.control_plane.store.buckets import Buckets, Place

IMAGE = re.compile(r"(?:[^/@]+/)?image-classification(?:-neo)?(?::[^/@]+|@sha256:[0-9a-f]{64})?")
RESERVED_VARIABLES = re.compile(r"PATH|HOME|PYTHON.*|LD_.*|SAGEMAKER_BASE_DIR")
"""With these, a job could run programs of its own outside a container."""


def image_problems(image: str) -> Iterable[str]:
    """What this server cannot do with the address of a container's image."""
    if IMAGE.fullmatch(image) is None:
        yield (
            f"This server does not run {image!r}, only images of the repository image-classification, such as "
            "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1."
        )


def environment_problems(environment: Mapping[str, str], whose: str) -> Iterable[str]:
    """What must not be in the environment of a container.

    Args:
        whose: jobs or containers.
    """
    reserved = sorted(name for name in environment if RESERVED_VARIABLES.fullmatch(name))
    if reserved:
        yield f"Environment must not hold {', '.join(reserved)}: {whose} are processes of this machine."


def place_problems(member: str, address: str, buckets: Buckets) -> Iterable[str]:
    """What is wrong with an address in S3 where something is to be written.

    Args:
        member: that holds it, for the message.
    """
    try:
        place = Place.of(address)
    except ValueError as error:
        yield f"{member}: {error}."
        return
    if not buckets.exists(place.bucket):
        yield f"{member}: the bucket {place.bucket} does not exist."
