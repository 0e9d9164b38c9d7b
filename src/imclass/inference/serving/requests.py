"""Finds the images in a request's body.

    image/jpeg, image/png, application/x-image       the body is one encoded image; its bytes say which format
    application/octet-stream, or no Content-Type     the same: so SageMaker's SDK and boto3 send what nobody labelled
    application/json                                 {"image": BASE64} or {"images": [BASE64, ...]}; or an image as
                                                     rows of pixels, [[[R, G, B], ...], ...]
    multipart/form-data                              every part is a file with one image

BASE64 is standard base64 (RFC 4648 section 4), or a whole data URL.
"""

import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from imclass.inference.serving.media_types import MediaType, parse
from imclass.inference.serving.multipart import file_parts
from imclass.inference.serving.pixel_arrays import png_of
from imclass.inference.serving.problems import RequestError

ENCODED_IMAGE = ("image/jpeg", "image/jpg", "image/png", "application/x-image", "application/octet-stream")
JSON = "application/json"
MULTIPART = "multipart/form-data"

_TAKEN = "Send image/jpeg, image/png or application/x-image; or several images as application/json or a form."
_JSON_FORMS = 'Send {"image": "BASE64"} or {"images": ["BASE64", ...]}.'


@dataclass(frozen=True)
class RequestedImages:
    """The images of a request.

    Attributes:
        encoded: the images' files, at least one.
        is_list: whether the answer is a list, one entry an image, even if there is one image only.
    """

    encoded: tuple[bytes, ...]
    is_list: bool


def content_type(header: str | None, encoding: str | None) -> MediaType:
    """What the headers say of a body, before it is read.

    Args:
        header: Content-Type.
        encoding: Content-Encoding.

    Raises:
        RequestError: 415, nothing that can be an image.
    """
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise _unsupported(f"the body has the encoding {encoding}: send it as it is")
    if header is None or not header.strip():
        return MediaType(ENCODED_IMAGE[-1])
    media_type = parse(header)
    if media_type.name not in _READERS:
        raise _unsupported(f"the content type {header.strip()} is not supported. {_TAKEN}")
    return media_type


def is_plain_image(media_type: MediaType) -> bool:
    """Whether the body is the image itself, so that finding it is no work."""
    return media_type.name in ENCODED_IMAGE


def find_images(media_type: MediaType, body: bytes, most: int) -> RequestedImages:
    """The images of a body.

    Args:
        media_type: from `content_type`.
        most: images that a request may have.

    Raises:
        RequestError: 400, the body is empty or not what its type says; 413, too many images.
    """
    if not body:
        raise _bad("the body is empty: send an image")
    images = _READERS[media_type.name](media_type, body)
    if not images.encoded:
        raise _bad("the request has no images")
    if len(images.encoded) > most:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the request has {len(images.encoded)} images, and {most} are allowed: send several requests",
        )
    return images


def _read_encoded_image(media_type: MediaType, body: bytes) -> RequestedImages:
    return RequestedImages((body,), is_list=False)


def _read_json(media_type: MediaType, body: bytes) -> RequestedImages:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _bad(f"the body is not JSON: {error}") from error
    if isinstance(content, list):
        return RequestedImages((png_of(content),), is_list=False)
    if not isinstance(content, dict) or len(content.keys() & {"image", "images"}) != 1:
        raise _bad(f"the JSON has neither image nor images, or has both. {_JSON_FORMS}")
    if "image" in content:
        return RequestedImages((_decoded(content["image"], "image"),), is_list=False)
    if not isinstance(content["images"], list):
        raise _bad(f"images is not a list. {_JSON_FORMS}")
    decoded = (_decoded(text, f"images[{index}]") for index, text in enumerate(content["images"]))
    return RequestedImages(tuple(decoded), is_list=True)


def _decoded(text: Any, where: str) -> bytes:
    if not isinstance(text, str):
        raise _bad(f"{where} is not a string. {_JSON_FORMS}")
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise _bad(f"{where} is a data URL that is not in base64")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise _bad(f"{where} is not base64: {error}") from error


def _read_multipart(media_type: MediaType, body: bytes) -> RequestedImages:
    return RequestedImages(file_parts(media_type.parameters.get("boundary", ""), body), is_list=True)


_READERS: dict[str, Callable[[MediaType, bytes], RequestedImages]] = {
    **dict.fromkeys(ENCODED_IMAGE, _read_encoded_image),
    JSON: _read_json,
    MULTIPART: _read_multipart,
}


def _bad(message: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, message)


def _unsupported(message: str) -> RequestError:
    return RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
