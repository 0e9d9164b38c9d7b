import random

import pytest

from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.paths import MORE, beside_folder, is_bucket_name, part_of, path_of

PIECES = [
    "a", "b", "%", "25", "2E", "00", "\0", ".", "..", "/", "//", "%more", "%object", "%empty", "%25", "%2E", "é", "𝄞",
    "x" * 200, "\n", " ", "\\", "~", ":",
]  # fmt: skip


def key_of(names: tuple[str, ...]) -> str | None:
    """The key of a path, put together from its parts as a walk does."""
    parts, chain = [], []
    for name in names:
        chain.append(name)
        if not name.endswith(MORE):
            parts.append(part_of(chain))
            chain = []
    return None if None in parts or chain else "/".join(parts)


@pytest.mark.parametrize(
    "key", ["a.jpg", "train/dog/a b.jpg", ".hidden", "50% off", "a%20b", "é/ü", "a\\b", "...", "C:"]
)
def test_plain_keys_are_plain_paths(key):
    assert "/".join(path_of(key)) == key


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("..", "%2E%2E"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
        ("/etc/passwd", "%empty/etc/passwd"),
        ("a/./b", "a/%2E/b"),
        ("a//b", "a/%empty/b"),
        ("folder/", "folder/%empty"),
        ("nul\0byte", "nul%00byte"),
        ("a%2Eb", "a%252Eb"),
        ("a%object", "a%25object"),
        ("x" * 241, "x" * 240 + "%more/x"),
        ("é" * 121 + "/b", "é" * 120 + "%more/é/b"),
    ],
)
def test_what_a_file_system_cannot_hold_is_escaped(key, path):
    assert "/".join(path_of(key)) == path
    assert key_of(path_of(key)) == key


def test_paths_of_random_keys_stay_below_their_bucket_and_lead_back():
    generator = random.Random(0)
    seen: dict[tuple[str, ...], str] = {}
    for _ in range(20_000):
        key = "".join(generator.choice(PIECES) for _ in range(generator.randint(1, 8)))
        if len(key.encode()) > 1024:
            continue
        names = path_of(key)
        assert all(name not in ("", ".", "..") and "/" not in name and "\0" not in name for name in names)
        assert all(len(name.encode()) <= 240 + len(MORE) for name in names)
        assert key_of(names) == key
        for path in (names, beside_folder(names)):
            assert seen.setdefault(path, key) == key


@pytest.mark.parametrize(
    "names", [["a%2Eb"], ["%2E"[:2]], ["short%more", "b"], ["x" * 240 + "%more", "%empty"], ["\udcff"]]
)
def test_names_that_no_key_has_are_no_objects(names):
    assert part_of(names) is None or path_of(part_of(names)) == tuple(names)
    if names != ["%2"]:
        assert part_of(names) is None


@pytest.mark.parametrize(
    ("key", "code"), [("", "InvalidArgument"), ("\ud800", "InvalidArgument"), ("é" * 513, "KeyTooLongError")]
)
def test_what_is_no_key_is_refused(key, code):
    with pytest.raises(S3Error) as caught:
        path_of(key)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["abc", "sagemaker-us-east-1-000000000000", "a.b.c", "1" * 63])
def test_bucket_names(name):
    assert is_bucket_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "Abc", "a..b", "-ab", "ab-", "a_b", ".imclass", "..", "a/b", "abc\n"]
)
def test_what_is_no_bucket_name(name):
    assert not is_bucket_name(name)
