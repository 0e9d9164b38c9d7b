"""Reads augmented manifests: JSON lines, each with the path of an image and its label.

One line an image::

    {"source-ref": "images/dog1.jpg", "class": "1", "class-metadata": {"class-name": "dog"}}

The image attribute ends in `-ref`; its value is a path relative to the manifest, a `file://` address, or the
address of an object on another machine (`s3://`, `gs://`, `https://`), which is fetched. In a manifest that was
fetched itself, relative paths start from where it was. The label is a number or a list of numbers, plain or as
JSON text in a string (`imclass.data.manifest_labels`). Where the label attribute `NAME` has Ground Truth's
`NAME-metadata` beside it, its `class-name` or `class-map` gives class names.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imclass.data.image_files import ImageFiles, path_problem
from imclass.data.json_path import EVERYTHING, JsonPath
from imclass.data.location import folder_of_origin, remote_images, shown_name
from imclass.data.manifest_labels import LabelTable, Names, RawLabel, label_names, parse_label
from imclass.data.remote.addresses import SCHEMES, Address, is_remote, remote_address
from imclass.errors import DataError, listing

REFERENCE_ENDING = "-ref"
METADATA_ENDING = "-metadata"
NAME_ATTRIBUTES = "Name the image and the label attribute, say --attribute-names source-ref,class."


@dataclass(frozen=True, slots=True)
class Manifest:
    """The lines of an augmented manifest.

    Attributes:
        path: the file.
        images: path of each image relative to the folder of the manifest, or absolute, or its address.
        labels: what the label attribute says in each line.
    """

    path: Path
    images: tuple[str, ...]
    labels: LabelTable

    def source(
        self,
        name: str,
        *,
        image_root: Path | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> ImageFiles:
        """Make a source.

        Args:
            name: what the user typed.
            image_root: the folder that paths start from; the folder of the manifest by default.
            num_classes: the number of columns of class-id lists; the highest class + 1 by default.
            class_names: the class table to follow, say that of a model.

        Raises:
            DataError: classes that are not below `num_classes`, names that differ from `class_names`, or none
                of the first 20 images exists.
        """
        labels = self.labels.array(num_classes)
        names = self.labels.class_names(num_classes, class_names)
        base = None if image_root else folder_of_origin(self.path)
        places = remote_images(self.images, base, shown_name(self.path))
        source = ImageFiles(name, image_root or self.path.parent, self.images, labels, names, places)
        source.check_first_files("Name the folder that the paths start from: --image-root FOLDER.")
        return source


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    image: str
    label: RawLabel
    names: Names


def read_manifest(
    path: Path,
    *,
    attribute_names: Sequence[str] | None = None,
    label_format: str = "multi-hot",
    base: Address | None = None,
) -> Manifest:
    """Read an augmented manifest.

    Args:
        attribute_names: image and label attribute; by default the first key that ends in `-ref` and the first
            other key that does not end in `-metadata`, which must be the same in all lines.
        label_format: "multi-hot" or "class-id", what lists of numbers mean.
        base: the folder on another machine that relative paths start from, if they do.

    Raises:
        DataError: the file cannot be read or is empty, or it has bad lines: all of them, with their numbers.
    """
    chosen = _checked(attribute_names)
    problems: list[str] = []
    lines: list[_Line] = []
    for number, text in _lines(path):
        try:
            record = _parse_object(text)
            chosen = chosen or _choose(record)
            _check_choice(record, chosen, attribute_names)
            lines.append(_parse_line(number, record, *chosen, base))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    where = shown_name(path)
    labels = LabelTable(where, label_format, {line.number: line.label for line in lines})
    problems += labels.problems() + labels.add_names((line.number, line.names) for line in lines)
    if problems:
        raise DataError("bad lines in the manifest\n" + listing(problems), where=where)
    if not lines:
        raise DataError("the manifest is empty", where=where)
    return Manifest(path, tuple(line.image for line in lines), labels)


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A line of a manifest, of which only the image is of interest.

    Attributes:
        image: path relative to the folder of the manifest, or absolute, or its address.
        line: the whole line.
    """

    image: str
    line: dict[str, object]


def read_image_references(
    path: Path, attribute: str | None = None, *, input_filter: str = EVERYTHING, base: Address | None = None
) -> list[ImageReference]:
    """Read the images of an augmented manifest, whose lines need no labels.

    Args:
        attribute: name of the image attribute; by default the first key that ends in `-ref`, in each line.
        input_filter: path to what speaks of the image in a line: an object with the image attribute, or the reference
            itself; see `imclass.data.json_path`.
        base: the folder on another machine that relative paths start from, if they do.

    Raises:
        DataError: the file cannot be read or is empty, or it has bad lines: all of them, with their numbers; or the
            filter is no path.
    """
    problems: list[str] = []
    references: list[ImageReference] = []
    json_path = JsonPath(input_filter)
    for number, text in _lines(path):
        try:
            line = _parse_object(text)
            reference, name = _reference(line, json_path, attribute)
            references.append(ImageReference(_image_path(reference, name, base), line))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise DataError("bad lines in the manifest\n" + listing(problems), where=shown_name(path))
    if not references:
        raise DataError("the manifest is empty", where=shown_name(path))
    return references


def _reference(line: dict[str, object], input_filter: JsonPath, attribute: str | None) -> tuple[object, str]:
    """What refers to the image of a line, and its name.

    Raises:
        ValueError: there is none.
    """
    try:
        selected = input_filter.select(line)
    except LookupError as error:
        raise ValueError(f"the input filter {input_filter.expression}: {error}") from error
    if not isinstance(selected, dict):
        return selected, input_filter.expression
    name = attribute or next((key for key in selected if key.endswith(REFERENCE_ENDING)), None)
    if name is None or name not in selected:
        raise ValueError(f"no attribute {attribute or '...' + REFERENCE_ENDING} names the image")
    return selected[name], name


def _checked(attribute_names: Sequence[str] | None) -> tuple[str, str] | None:
    if attribute_names is None:
        return None
    if len(attribute_names) != 2 or isinstance(attribute_names, str):
        raise DataError(
            f"two attribute names are needed, image and label, not {attribute_names!r}", fix=NAME_ATTRIBUTES
        )
    return attribute_names[0], attribute_names[1]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that are not blank."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=shown_name(path)) from error
    for number, line in enumerate(content.decode("utf-8-sig", "surrogateescape").split("\n"), start=1):
        if line.strip():
            yield number, line


def _parse_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):
        raise ValueError("not JSON that can be read: a number too long or brackets too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _choose(record: dict[str, object]) -> tuple[str, str]:
    image = next((key for key in record if key.endswith(REFERENCE_ENDING)), None)
    label = next((key for key in record if not key.endswith((REFERENCE_ENDING, METADATA_ENDING))), None)
    if image is None:
        raise ValueError(f"no attribute ends in {REFERENCE_ENDING}, so the image is unknown. {NAME_ATTRIBUTES}")
    if label is None:
        raise ValueError(f"no label beside {image!r}. {NAME_ATTRIBUTES}")
    return image, label


def _check_choice(record: dict[str, object], chosen: tuple[str, str], attribute_names: Sequence[str] | None) -> None:
    missing = [name for name in chosen if name not in record]
    if missing:
        raise ValueError(f"the attribute {missing[0]!r} is missing")
    if attribute_names is None and (own := _choose(record)) != chosen:
        raise ValueError(f"the attributes seem to be {own}, those of the lines before {chosen}. {NAME_ATTRIBUTES}")


def _parse_line(
    number: int, record: dict[str, object], image_name: str, label_name: str, base: Address | None
) -> _Line:
    label = parse_label(record[label_name])
    names = label_names(label, record.get(label_name + METADATA_ENDING))
    return _Line(number, _image_path(record[image_name], image_name, base), label, names)


def _image_path(reference: object, attribute: str, base: Address | None) -> str:
    """Return the path of an image reference, or its address.

    Raises:
        ValueError: it names no file and no object.
    """
    if not isinstance(reference, str):
        raise ValueError(f"{attribute!r} is not a path but {str(reference)[:40]!r}")
    scheme, separator, _ = reference.partition("://")
    if not separator or is_remote(reference):
        path = reference
    elif scheme.lower() == "file":
        address = urlsplit(reference)
        if address.netloc not in ("", "localhost"):
            raise ValueError(f"{reference[:100]} is on another machine")
        path = unquote(address.path)
    else:
        raise ValueError(f"{reference[:100]} has a scheme that is not read; these are: file, {', '.join(SCHEMES)}")
    problem = path_problem(path)
    if problem:
        raise ValueError(problem)
    remote_address(path, base)
    return path
