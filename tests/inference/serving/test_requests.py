"""Images are found in every kind of body; everything else is refused with the status that says why."""

import base64
import json

import numpy as np
import pytest

from imclass.images import decode
from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.requests import RequestedImages, content_type, find_images

MOST = 3


def find(header: str | None, body: bytes) -> RequestedImages:
    return find_images(content_type(header, None), body, MOST)


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "header",
    [
        "image/jpeg",
        "IMAGE/PNG",
        "image/jpg",
        "application/x-image",
        "application/x-image; charset=binary",
        "application/octet-stream",
        "",
        None,
    ],
)
def test_the_body_is_the_image(header: str | None) -> None:
    assert find(header, b"pixels") == RequestedImages((b"pixels",), is_list=False)


def test_json_with_one_image() -> None:
    assert find("application/json; charset=utf-8", json.dumps({"image": text_of(b"one")}).encode()) == (
        RequestedImages((b"one",), is_list=False)
    )


def test_json_with_several_images() -> None:
    images = [text_of(b"one"), "data:image/png;base64," + text_of(b"two")]
    assert find("application/json", json.dumps({"images": images}).encode()) == RequestedImages(
        (b"one", b"two"), is_list=True
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_json_with_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels))
    images = find("application/json", json.dumps(pixels.tolist()).encode())
    assert not images.is_list
    np.testing.assert_array_equal(decode(images.encoded[0], channels), pixels)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "the JSON array is no image: its shape is (0,)"),
        (b"[[[1, 2, 3]], [[1, 2]]]", "its rows, or pixels, differ in length"),
        (b"[[[1, 2, 3, 4]]]", "its shape is (1, 1, 4)"),
        (b"[[[]]]", "its shape is (1, 1, 0)"),
        (b"[[[1, 2, 256]]]", "no whole numbers from 0 to 255"),
        (b"[[[1, 2, -1]]]", "no whole numbers from 0 to 255"),
        (b"[[[0.1, 0.2, 0.3]]]", "no whole numbers from 0 to 255"),
        (b'[[["1", "2", "3"]]]', "no whole numbers from 0 to 255"),
        (b"[[[true, true, true]]]", "no whole numbers from 0 to 255"),
        (b"{}", "neither image nor images"),
        (b'{"image": "", "images": []}', "or has both"),
        (b'{"image": 3}', "image is not a string"),
        (b'{"images": "aGk="}', "images is not a list"),
        (b'{"images": []}', "no images"),
        (b'{"images": ["aGk=", "a"]}', "images[1] is not base64"),
        (b'{"image": "aGk=!"}', "image is not base64"),
        ('{"image": "aGk\u00e9"}'.encode(), "image is not base64"),
        (b'{"image": "data:image/png,hello"}', "not in base64"),
    ],
)
def test_bad_json(body: bytes, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        find("application/json", body)
    assert caught.value.status == 400
    assert said in caught.value.message


def test_too_many_images() -> None:
    body = json.dumps({"images": [text_of(b"x")] * (MOST + 1)}).encode()
    with pytest.raises(RequestError, match="4 images, and 3 are allowed") as caught:
        find("application/json", body)
    assert caught.value.status == 413


@pytest.mark.parametrize("header", ["text/plain", "application/x-recordio", "image/gif", "nonsense", "image/*"])
def test_unsupported_content_type(header: str) -> None:
    with pytest.raises(RequestError, match="is not supported") as caught:
        content_type(header, None)
    assert caught.value.status == 415


def test_compressed_bodies_are_unsupported() -> None:
    assert content_type("image/png", "identity").name == "image/png"
    with pytest.raises(RequestError, match="gzip") as caught:
        content_type("image/png", "gzip")
    assert caught.value.status == 415


def form(*parts: tuple[str, bytes], end: bytes = b"--limit--\r\n") -> bytes:
    sections = [
        b"--limit\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    ]
    return b"".join(sections) + end


FORM = "multipart/form-data; boundary=limit"


def test_files_of_a_form() -> None:
    body = form(('name="a"; filename="a.jpg"', b"one\r\n--limi"), ('name="b"; filename=""', b"two"))
    assert find(FORM, body) == RequestedImages((b"one\r\n--limi", b"two"), is_list=True)


@pytest.mark.parametrize(
    ("header", "body", "said"),
    [
        ("multipart/form-data", form(('filename="a"', b"1")), "names no boundary"),
        (FORM, b"no form at all", "damaged"),
        (FORM, form(('name="a"; filename="a"', b"1"), end=b""), "truncated"),
        (FORM, form(('name="comment"', b"nice")), "fields that are no files: comment"),
        (FORM, form(), "no images"),
    ],
)
def test_bad_forms(header: str, body: bytes, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        find(header, body)
    assert caught.value.status == 400
    assert said in caught.value.message
