"""Reads class names from a text file: one name a line, UTF-8, in the order of the class numbers."""

from pathlib import Path

from imclass.data.image_files import printable
from imclass.errors import DataError, listing

LARGEST = 16 << 20  # bytes


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """The names in a file; spaces around a name and empty lines at the end do not count.

    Raises:
        DataError: the file cannot be read, is empty, has an empty line before a name, or names a class twice.
    """
    path = Path(path)
    where = printable(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the class names cannot be read: {error.strerror}", where=where, fix="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            "the class names are not UTF-8 text", where=f"{where}, byte {error.start}", fix="Save the file as UTF-8."
        ) from error
    if len(data) > LARGEST:
        raise DataError(f"the file is larger than {LARGEST:,} bytes", where=where, fix="Give one class name a line.")
    names = [line.strip() for line in text.rstrip().splitlines()]
    if not names:
        raise DataError("the file holds no class name", where=where, fix="Give one class name a line.")
    first: dict[str, int] = {}
    problems = []
    for number, name in enumerate(names, start=1):
        if not name:
            problems.append(f"line {number} is empty")
        elif name in first:
            problems.append(f"line {number} names {name!r} again, after line {first[name]}")
        first.setdefault(name, number)
    if problems:
        raise DataError(
            f"the class names do not tell the classes apart:\n{listing(problems)}",
            where=where,
            fix="Give every class one name, on the line of its number.",
        )
    return tuple(names)
