"""Which file an object becomes. Keys are chosen by strangers: none may name a place outside its folder."""

from collections.abc import Iterable, Sequence

from imclass.errors import DataError, listing

NAME_BYTES = 255
"""Longest name of a file on Linux."""


def check_names(paths: Sequence[str], sizes: Sequence[int], where: str) -> list[bool]:
    """Make sure that every path can be a file below one folder, and say which objects are files.

    An empty object whose key is a folder of other keys only marks that folder, as consoles and tools make
    them; it is no file.

    Args:
        paths: keys relative to the folder, with forward slashes.
        sizes: bytes of each.
        where: names the folder in errors.

    Returns:
        Whether each path is to be a file.

    Raises:
        DataError: names that no file can have, or that would leave the folder, and keys that would be both a file
            and a folder: all of them.
    """
    folders = set(_folders(paths))
    is_file = [not (size == 0 and path in folders) for path, size in zip(paths, sizes, strict=True)]
    problems = [f"{path[:100]!r}: {problem}" for path in paths if (problem := name_problem(path))]
    problems += [
        f"{path[:100]!r}: is an object and a folder of others"
        for path, kept in zip(paths, is_file, strict=True)
        if kept and path in folders
    ]
    if problems:
        raise DataError(
            "objects that cannot become files\n" + listing(problems),
            where=where,
            fix="Rename them, or name a folder without them.",
        )
    return is_file


def _folders(paths: Iterable[str]) -> Iterable[str]:
    """Yield every folder that a path is below."""
    for path in paths:
        while "/" in path:
            path = path.rpartition("/")[0]
            yield path


def name_problem(path: str) -> str | None:
    """Say why no file can have this path below a folder, or None."""
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"has the part {part!r}"
        if "\\" in part:
            return "has a backslash, which is a folder to some systems and a letter to others"
        if any(ord(character) < 32 for character in part):
            return "has a control character"
        try:
            encoded = part.encode()
        except UnicodeEncodeError:
            return "has characters that no file name can have"
        if len(encoded) > NAME_BYTES:
            return f"has a part of {len(encoded)} bytes, {NAME_BYTES} are the most"
    return None
