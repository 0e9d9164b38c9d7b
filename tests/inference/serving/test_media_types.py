"""Content-Type and Accept as clients write them."""

import pytest

from imclass.inference.serving.media_types import parse, parse_list


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("image/jpeg", "image/jpeg", {}),
        (" Image/JPEG ; Charset=UTF-8", "image/jpeg", {"charset": "UTF-8"}),
        ("application/json;verbose", "application/json", {"verbose": ""}),
        ('multipart/form-data; boundary="a;b\\"c"', "multipart/form-data", {"boundary": 'a;b"c'}),
        ("text/plain;;", "text/plain", {}),
        ("", "", {}),
    ],
)
def test_parse(text: str, name: str, parameters: dict[str, str]) -> None:
    media_type = parse(text)
    assert (media_type.name, media_type.parameters) == (name, parameters)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("application/json, */*", ["application/json", "*/*"]),
        ("*/*;q=0.1, application/json;q=0.9, image/png", ["image/png", "application/json", "*/*"]),
        ("a/b;q=0, c/d;q=nonsense, e/f;q=nan", []),
        (",, ", []),
        ('a/b;x="1,2", c/d', ["a/b", "c/d"]),
    ],
)
def test_parse_list_orders_by_preference(text: str, names: list[str]) -> None:
    assert [media_range.name for media_range in parse_list(text)] == names
