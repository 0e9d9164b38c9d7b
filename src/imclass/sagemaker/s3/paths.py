"""Which file an object is: S3's keys as paths below the folder of their bucket, and back.

The parts of a key between slashes are names of folders, the last one that of a file: `a/b.jpg` is `a/b.jpg`. What a
file system cannot hold is escaped, and nothing else:

    part of a key                         name
    ------------------------------------  ---------------------------------------------------------------
    empty: `a//b`, `a/`, `/a`             %empty
    `.` and `..`                          %2E and %2E%2E
    a NUL byte                            %00
    % before 00, 2E, 25 or a word here    %25: `a%2Eb` is a%252Eb. Any other % stays: `50% off`, `a%20b`
    longer than 240 bytes, % as three     name%more/rest, in pieces of at most 240 bytes
    `a`, where `a/b` is an object         a%object beside the folder a

So each key has one path, or two of which one is in use (the last line), and no two keys have the same. Names that no
key has are no objects: `a%2Eb`, which would have been written as `a.b`.

A key has 1 to 1,024 bytes of UTF-8. Empty parts, `.` and `..` become names without a meaning to the file system, so
that no path leaves the folder of its bucket.
"""

import re
from collections.abc import Sequence

from imclass.sagemaker.s3.errors import S3Error

MOST_KEY_BYTES = 1024
MOST_NAME_BYTES = 240
"""Of a name without %more or %object, so that it stays below the 255 of file systems."""
EMPTY, MORE, OBJECT = "%empty", "%more", "%object"

_NEEDS_ESCAPE = re.compile(r"%(?=00|25|2E|empty|more|object)|\0")
_ESCAPED = re.compile(r"%(00|25|2E)")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def is_bucket_name(name: str) -> bool:
    """Whether a bucket can have this name: 3 to 63 lower-case letters, digits, hyphens and single dots."""
    return _BUCKET.fullmatch(name) is not None and ".." not in name


def check_key(key: str) -> None:
    """Check that a key is one.

    Raises:
        S3Error: InvalidArgument, KeyTooLongError: it is empty, has no UTF-8, or is too long.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise S3Error("InvalidArgument", "A key must be UTF-8.") from error
    if not size:
        raise S3Error("InvalidArgument", "A key must not be empty.")
    if size > MOST_KEY_BYTES:
        raise S3Error("KeyTooLongError", "Your key is too long", Size=str(size), MaxSizeAllowed=str(MOST_KEY_BYTES))


def path_of(key: str) -> tuple[str, ...]:
    """The names that lead from the folder of a bucket to an object, at least one.

    Raises:
        S3Error: as `check_key`.
    """
    check_key(key)
    return tuple(name for part in key.split("/") for name in names_of(part))


def beside_folder(names: Sequence[str]) -> tuple[str, ...]:
    """The path of an object where its plain path is a folder."""
    return (*names[:-1], names[-1] + OBJECT)


def names_of(part: str) -> tuple[str, ...]:
    """The names of one part of a key: more than one when it is long."""
    *first, last = _pieces(part)
    if last in ("", ".", ".."):
        return (*(_escape(piece) + MORE for piece in first), last.replace(".", "%2E") or EMPTY)
    return (*(_escape(piece) + MORE for piece in first), _escape(last))


def part_of(names: Sequence[str]) -> str | None:
    """The part of a key that has these names, the inverse of `names_of`; None when there is none."""
    last = "" if names[-1] == EMPTY else names[-1]
    part = "".join(map(_unescape, [*(name.removesuffix(MORE) for name in names[:-1]), last]))
    try:
        return part if names_of(part) == tuple(names) else None
    except UnicodeEncodeError:  # a file whose name is not UTF-8
        return None


def _pieces(part: str) -> list[str]:
    pieces, start, size = [], 0, 0
    for place, character in enumerate(part):
        width = 3 if character in "%\0" else len(character.encode())
        if size + width > MOST_NAME_BYTES:
            pieces.append(part[start:place])
            start, size = place, 0
        size += width
    return [*pieces, part[start:]]


def _escape(text: str) -> str:
    return _NEEDS_ESCAPE.sub(lambda match: f"%{ord(match[0]):02X}", text)


def _unescape(name: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
