"""What one format has to tell, so that models can be written in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.errors import ArtifactError, UserError
from imclass.inference.exports.program import Metadata, Program

Files = Mapping[str, bytes]  # by suffix, the one that people open first
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (N, C, H, W) to (N, num_classes)


@dataclass(frozen=True)
class FileKind:
    """A kind of files, and what is needed to write them.

    Attributes:
        title: its name for messages.
        suffix: end of the name of the file that people open.
        extra: the extra of imclass that installs what it needs; empty when nothing is needed.
        packages: what must be installed, by import name.
    """

    title: str
    suffix: str
    extra: str
    packages: tuple[str, ...]

    def check(self, path: Path) -> None:
        """Refuse what would fail only after the work is done.

        Raises:
            UserError: a package is missing.
            ArtifactError: the name of the file does not end as it must.
        """
        missing = missing_packages(self.packages)
        if missing:
            raise UserError(
                f"writing {self.title} files needs {', '.join(self.packages)}; not installed: {', '.join(missing)}",
                fix=how_to_install(self.extra),
            )
        if path.suffix != self.suffix:
            raise ArtifactError(
                f"the name of {self.title} files ends in {self.suffix}",
                where=str(path),
                fix=f"Call it {path.with_suffix(self.suffix)}, or choose another format.",
            )


@dataclass(frozen=True)
class Format(FileKind):
    """A format of another program, in which the network computes as it does here.

    Attributes:
        write: the bytes of all files of a program.
        open: from those very bytes, the function that answers as the format's own runtime does.
    """

    write: Callable[[Program, Metadata], Files]
    open: Callable[[Files], Answer]


def missing_packages(packages: tuple[str, ...]) -> list[str]:
    """Those of some packages, by import name, that are not installed."""
    return [name for name in packages if find_spec(name) is None]


def how_to_install(extra: str) -> str:
    """The command that installs an extra of imclass, as advice."""
    return f"Install what is missing: python -m pip install 'imclass[{extra}]'"
