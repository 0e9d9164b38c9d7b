"""Augmented manifests: every way to write a label, Ground Truth's names, and bad lines."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imclass.data import open_pair, open_source
from imclass.errors import DataError


def manifest(folder: Path, *lines: object, name: str = "x.manifest") -> Path:
    for image in ("a.jpg", "b.jpg", "c d.jpg"):
        (folder / image).write_bytes(image.encode())
    path = folder / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def line(label: object, image: str = "a.jpg", **more: object) -> dict[str, object]:
    return {"source-ref": image, "class": label, **more}


@pytest.mark.parametrize(
    ("labels", "options", "wanted"),
    [
        ([0, 2], {}, [[0], [2]]),
        (["0", " 2 "], {}, [[0], [2]]),
        ([1.0, "2.0"], {"label_format": "class-id"}, [[1], [2]]),
        ([[1, 0, 1], [0, 0, 0]], {}, [[1, 0, 1], [0, 0, 0]]),
        (["[1, 0, 1]", "[0, 1, 0]"], {}, [[1, 0, 1], [0, 1, 0]]),
        (["[0, 2]", "[2]"], {"label_format": "class-id"}, [[1, 0, 1], [0, 0, 1]]),
        ([[0, 2], [], 1], {"label_format": "class-id", "num_classes": 4}, [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]),
    ],
)
def test_labels(labels: list, options: dict, wanted: list, tmp_path: Path) -> None:
    source = open_source(manifest(tmp_path, *map(line, labels)), **options)
    assert source.labels.tolist() == wanted
    assert source.class_names is None
    assert source[0].image == b"a.jpg"


def test_references(tmp_path: Path) -> None:
    absolute = str(tmp_path / "b.jpg")
    spaced = "file://" + str(tmp_path / "c d.jpg").replace(" ", "%20")
    local = "file://localhost" + absolute
    source = open_source(manifest(tmp_path, *(line(0, image) for image in ("a.jpg", absolute, spaced, local))))
    assert [source[index].image for index in range(4)] == [b"a.jpg", b"b.jpg", b"c d.jpg", b"b.jpg"]


def test_image_root(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    path = manifest(tmp_path / "m", line(0, "z.jpg"))
    (tmp_path / "z.jpg").write_bytes(b"Z")
    with pytest.raises(DataError, match=r"none of the first 1 images(.|\n)*--image-root"):
        open_source(path)
    assert open_source(path, image_root=tmp_path)[0].image == b"Z"


@pytest.mark.parametrize("address", ["ftp://host/a.jpg", "file://host/a.jpg", "s3://bucket", "s3:///a.jpg"])
def test_addresses_that_name_no_image(address: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"bad lines in the manifest\n  - line 2: .?{address}"):
        open_source(manifest(tmp_path, line(0), line(0, address)))


def test_attributes_are_found_or_given(tmp_path: Path) -> None:
    lines = [{"x-metadata": {}, "mask-ref": "b.jpg", "size": 1, "image-ref": "a.jpg", "kind": "3"}] * 2
    path = manifest(tmp_path, *lines)
    assert (open_source(path)[0].image, open_source(path).labels.tolist()) == (b"b.jpg", [[1], [1]])
    given = open_source(path, attribute_names=("image-ref", "kind"))
    assert (given[0].image, given.labels.tolist()) == (b"a.jpg", [[3], [3]])


def test_bad_attribute_names(tmp_path: Path) -> None:
    path = manifest(tmp_path, line(0))
    with pytest.raises(DataError, match="line 1: the attribute 'kind' is missing"):
        open_source(path, attribute_names=("source-ref", "kind"))
    with pytest.raises(DataError, match="two attribute names are needed"):
        open_source(path, attribute_names=("source-ref",))


def test_all_bad_lines_together(tmp_path: Path) -> None:
    lines = [
        line(1), "{", "[1]", {"class": 1}, {"source-ref": "a.jpg"}, line("cat"), line(True), line(None), line({}),
        line(1e39), line(1.5), line(-1), line(1, ""), line(1, "a\0b"), line(1, 7), line(1, "\ud800"), "1" * 5000,
        {"source-ref": "a.jpg", "other": 1, "class": 1}, "[" * 100_000, line(1, "ftp://b/k"),
    ]  # fmt: skip
    with pytest.raises(DataError) as caught:
        open_source(manifest(tmp_path, *lines))
    message = str(caught.value)
    for number in range(2, len(lines) + 1):
        assert f"line {number}: " in message
    assert "line 1: " not in message
    assert "line 6: the label 'cat' is not a number" in message


@pytest.mark.parametrize(
    ("labels", "label_format", "message"),
    [
        ([[1, 0], [1, 0, 0]], "multi-hot", "line 2: 3 labels, line 1 has 2"),
        ([[1, 0], 1], "multi-hot", "line 2: a single label, line 1 has a list"),
        ([[0, 2]], "multi-hot", r"line 1: \[0, 2\] holds more than 0 and 1.*label-format=class-id"),
        ([[]], "multi-hot", "line 1: 0 labels"),
        ([[0.5]], "class-id", "line 1: .* must be class numbers"),
        ([[10**9]], "class-id", "line 1: .* must be class numbers"),
        ([10**9], "multi-hot", "line 1: .* must be class numbers"),
        ([1], "multi-hott", "label format 'multi-hott' .*did you mean 'multi-hot'"),
    ],
)
def test_labels_that_do_not_fit(labels: list, label_format: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        open_source(manifest(tmp_path, *map(line, labels)), label_format=label_format)


def test_class_ids_above_num_classes(tmp_path: Path) -> None:
    path = manifest(tmp_path, line([0]), line([1, 3]))
    with pytest.raises(DataError, match=r"below num_classes=3\n  - line 2: \[1, 3\]"):
        open_source(path, label_format="class-id", num_classes=3)


def test_names_of_single_labels(tmp_path: Path) -> None:
    dog, cat = {"class-name": "dog", "confidence": 0.9}, {"class-name": "cat"}
    path = manifest(tmp_path, line(2, **{"class-metadata": dog}), line(0, **{"class-metadata": cat}), line(1))
    assert open_source(path).class_names == ("cat", "1", "dog")


def test_names_of_class_ids(tmp_path: Path) -> None:
    meta = {"class-metadata": {"class-map": {"0": "cat", "2": "dog", "x": "?", "9" * 30: "?"}}}
    path = manifest(tmp_path, line("[0, 2]", **meta), line("[1]"))
    source = open_source(path, label_format="class-id")
    assert source.class_names == ("cat", "1", "dog")
    assert source.labels.shape == (2, 3)


def test_two_names_for_one_class(tmp_path: Path) -> None:
    lines = [line(1, **{"class-metadata": {"class-name": name}}) for name in ("dog", "cat")]
    with pytest.raises(DataError, match="line 2: class 1 is called 'cat', before it was 'dog'"):
        open_source(manifest(tmp_path, *lines))


def test_names_of_a_model(tmp_path: Path) -> None:
    path = manifest(tmp_path, line(1, **{"class-metadata": {"class-name": "dog"}}))
    assert open_source(path, class_names=["cat", "dog"]).class_names == ("cat", "dog")
    with pytest.raises(DataError, match="class 1: 'dog' here, 'cat' there"):
        open_source(path, class_names=["dog", "cat"])


def test_pair_shares_names_and_columns(tmp_path: Path) -> None:
    train = manifest(tmp_path, line([0], **{"class-metadata": {"class-map": {"0": "cat"}}}), name="t.jsonl")
    validation = manifest(tmp_path, line([2], **{"class-metadata": {"class-map": {"2": "dog"}}}), name="v.json")
    pair = open_pair(train, validation, label_format="class-id")
    assert [source.class_names for source in pair] == [("cat", "1", "dog")] * 2
    assert [source.labels.tolist() for source in pair] == [[[1, 0, 0]], [[0, 0, 1]]]


def test_pair_with_names_that_differ(tmp_path: Path) -> None:
    paths = [
        manifest(tmp_path, line(0, **{"class-metadata": {"class-name": name}}), name=f"{name}.manifest")
        for name in ("cat", "dog")
    ]
    with pytest.raises(DataError, match="class 0 is called 'cat', before it was 'dog'"):
        open_pair(*paths)


def test_empty_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the manifest is empty"):
        open_source(manifest(tmp_path))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["[1]", "1"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(json_values, min_size=1, max_size=3), metadata=json_values, ids=st.booleans())
def test_any_json_gives_a_source_or_a_data_error(labels: list, metadata: object, ids: bool, tmp_path: Path) -> None:
    path = manifest(tmp_path, *(line(label, **{"class-metadata": metadata}) for label in labels))
    try:
        source = open_source(path, label_format="class-id" if ids else "multi-hot")
    except DataError:
        return
    assert len(source) == len(labels)
