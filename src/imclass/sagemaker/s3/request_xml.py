"""Reads the XML of requests, with Python's expat and without what makes XML dangerous.

A document type, which entities need, is refused; sizes are limited before (`bodies.MOST_XML_BYTES`).
"""

from dataclasses import dataclass
from xml.parsers import expat

from imclass.sagemaker.s3.checksums import ALGORITHMS
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.multipart import MOST_PARTS, NamedPart

MOST_DEPTH = 8
MOST_DELETED = 1000


class _Element:
    """An element: its name without namespace, its text, and its children."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[_Element] = []

    def all(self, name: str) -> list["_Element"]:
        return [child for child in self.children if child.name == name]

    def find(self, name: str) -> str | None:
        """The text of the first child of a name, None when there is none."""
        return next((child.text for child in self.children if child.name == name), None)


@dataclass(frozen=True)
class DeleteRequest:
    """What is to be deleted.

    Attributes:
        keys: of the objects.
        quiet: whether only failures are of interest.
    """

    keys: list[str]
    quiet: bool


def read_delete(content: bytes) -> DeleteRequest:
    """Read the body of DeleteObjects.

    Raises:
        S3Error: MalformedXML; NotImplemented: versions of objects are named.
    """
    root = _parse(content, "Delete")
    objects = root.all("Object")
    keys = [key for element in objects if (key := element.find("Key"))]
    if len(keys) != len(objects) or not 0 < len(keys) <= MOST_DELETED:
        raise _malformed(f"1 to {MOST_DELETED} objects, each with a key, can be deleted at a time")
    if any(element.find("VersionId") not in (None, "null") for element in objects):
        raise S3Error("NotImplemented", "Objects have no versions here.")
    return DeleteRequest(keys, root.find("Quiet") == "true")


def read_complete(content: bytes) -> list[NamedPart]:
    """Read the body of CompleteMultipartUpload.

    Raises:
        S3Error: MalformedXML.
    """
    elements = _parse(content, "CompleteMultipartUpload").all("Part")
    if not 0 < len(elements) <= MOST_PARTS:
        raise _malformed(f"an upload has 1 to {MOST_PARTS} parts")
    return [_named_part(element) for element in elements]


def read_location(content: bytes) -> str | None:
    """Read the region from the body of CreateBucket, which may be empty.

    Raises:
        S3Error: MalformedXML.
    """
    return _parse(content, "CreateBucketConfiguration").find("LocationConstraint") if content.strip() else None


def _named_part(element: _Element) -> NamedPart:
    number, etag = element.find("PartNumber") or "", element.find("ETag")
    if etag is None or not (number.isascii() and number.isdecimal() and 0 < int(number[:6]) <= MOST_PARTS):
        raise _malformed("each part has a PartNumber and an ETag")
    checksums = (element.find(f"Checksum{algorithm}") for algorithm in ALGORITHMS)
    return NamedPart(int(number), etag.strip().strip('"'), next((value for value in checksums if value), None))


def _parse(content: bytes, root_name: str) -> _Element:
    root = _Element("")
    path = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(path) > MOST_DEPTH:
            raise _malformed("its elements are nested too deeply")
        element = _Element(name.rpartition(" ")[2])
        path[-1].children.append(element)
        path.append(element)

    def end(name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        path[-1].text += data

    def refuse(*declaration: object) -> None:
        raise _malformed("it has a document type")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an encoding that Python does not have
        raise _malformed(str(error)) from error
    if root.children[0].name != root_name:
        raise _malformed(f"its root is not {root_name}")
    return root.children[0]


def _malformed(why: str) -> S3Error:
    return S3Error(
        "MalformedXML",
        f"The XML you provided was not well-formed or did not validate against our published schema: {why}",
    )
