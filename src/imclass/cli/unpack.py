"""`imclass unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import Quiet, path_here
from imclass.cli.progress_bar import progress_bar


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="X.rec", help="A .rec file, or a folder of them; also the address of one.", show_default=False
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder to write; it must be new or empty.", show_default=False),
    ],
    *,
    class_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class names, one a line, for the class folders; without it they are named by class number.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Turn RecordIO files into class folders and a .lst file. The images keep their bytes.

    [bold]Examples[/bold]

    imclass unpack photos.rec photos

    imclass unpack photos.rec photos --class-names names.txt
    """
    from imclass.data.class_names import read_class_names
    from imclass.data.opening import Format, Options, open_recognised, recognise
    from imclass.data.recordio_source import RecordSource
    from imclass.data.unpacking import unpack
    from imclass.errors import DataError

    with messages.warnings_on_stderr():
        found = recognise(path_here(source, quiet=quiet))
        if found.format is not Format.RECORDIO:
            raise DataError(
                f"this is no RecordIO but {found.format.value}; there is nothing to unpack", where=found.name
            )
        names = read_class_names(class_names) if class_names is not None else None
        records = open_recognised(found, Options())
        assert isinstance(records, RecordSource)
        with progress_bar(len(records), quiet) as progress:
            unpacked = unpack(records, folder, f"{Path(found.name).resolve().stem}.lst", names, progress)
    for key, reason in unpacked.left_out:
        messages.warning(f"{key}: left out: {reason}")
    for key in unpacked.unknown:
        messages.warning(f"{key}: neither JPEG nor PNG; its file ends in .bin")
    if not quiet:
        print(messages.tab_separated("unpacked", folder, unpacked.images, len(unpacked.left_out)))
