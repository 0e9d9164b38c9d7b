"""A batch transform on one process: opened, worked on, finished."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imclass.data.image_files import printable
from imclass.data.remote.addresses import is_remote, parse_address
from imclass.data.unlabelled import Unlabelled, open_unlabelled
from imclass.images import thread_count
from imclass.inference.transform.assembling import RowAssembly
from imclass.inference.transform.destinations import Destination, FileForEachImage, PieceWriter, PutTogether
from imclass.inference.transform.output_folder import OutputFolder, open_output
from imclass.inference.transform.parquet import ParquetAssembly
from imclass.inference.transform.pieces import Piece, plan_pieces
from imclass.inference.transform.predicting import (
    Answer,
    Network,
    Work,
    batches_of,
    decoded_batches,
    in_background,
)
from imclass.inference.transform.request import Format, Request
from imclass.inference.transform.rows import BodyRows, CsvRows
from imclass.inference.transform.work_folder import Failure, WorkFolder, make_folder, write_file

FAILED_FILE = "failed.jsonl"


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to do any piece of a job.

    Attributes:
        request: what was asked.
        images: what is transformed.
        pieces: of all images.
        network: what computes.
        folder: what is kept to go on.
        destination: where results go.
        output: the folder that they go to.
    """

    request: Request
    images: Unlabelled
    pieces: Sequence[Piece]
    network: Network
    folder: WorkFolder
    destination: Destination
    output: OutputFolder

    def close(self) -> None:
        """Give back memory."""
        self.network.close()


def open_job(request: Request, *, local_rank: int = 0, restart: bool = False, to_compute: bool = True) -> Job:
    """Open model, images and folders.

    Args:
        local_rank: number of this process on its machine.
        restart: remove the results that are there, and forget what was done.
        to_compute: whether this process will do pieces itself.

    Raises:
        UserError: something of it cannot be opened, or the output folder belongs to another job.
    """
    images = open_unlabelled(
        request.source,
        split_type=request.split_type,
        image_root=request.image_root,
        image_attribute=request.image_attribute,
        input_filter=request.input_filter,
    )
    network = Network(request)
    if to_compute:
        network.open_backend(local_rank)
    folder = WorkFolder(request.work_folder, images.keys)
    output = open_output(request.output, folder.path)
    destination = _destination(request, images, network, folder, output)
    if restart:
        output.remove(destination.existing())
        folder.clear()
    folder.claim(
        _settings(request, network, folder, destination),
        lambda: [f"{str(request.output).rstrip('/')}/{name}" for name in destination.existing()],
    )
    with_objects = isinstance(destination, PutTogether) and request.format is Format.OUT
    objects = [each.images for each in images.objects] if with_objects and images.objects is not None else None
    job = Job(request, images, plan_pieces(len(images.keys), objects), network, folder, destination, output)
    _forget_removed_results(job)
    return job


def pieces_to_do(job: Job, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces that are not done, or some of whose images have no result."""
    return [piece for piece in pieces if not job.folder.is_done(piece) or job.destination.missing(piece)]


def do_pieces(
    job: Job,
    pieces: Sequence[Piece],
    on_begin: Callable[[int, int], None] = lambda images, already: None,
    on_batch: Callable[[int], None] = lambda images: None,
) -> int:
    """Predict the images of some pieces that have no results yet.

    Args:
        on_begin: called with the number of images, and of those among them that have results.
        on_batch: called with the number of images of each batch that was done.

    Returns:
        Number of images that were predicted, or failed, now.
    """
    works = [Work(piece, job.destination.missing(piece)) for piece in pieces_to_do(job, pieces)]
    to_do = [index for work in works for index in work.indices]
    images = sum(len(piece.images) for piece in pieces)
    on_begin(images, images - len(to_do))
    job.destination.clean(to_do)
    for work in works:
        if not work.indices:  # killed between its last result and the mark
            job.folder.mark_done(work.piece, [])
    for answer in _written_answers(job, works):
        on_batch(len(answer.batch.indices))
    return len(to_do)


def _written_answers(job: Job, works: Sequence[Work]) -> Iterator[Answer]:
    """Decode, compute and write, side by side."""
    computing = job.request.computing
    decoded = decoded_batches(
        job.images,
        job.network.preprocessing,
        batches_of(works, computing.batch_size),
        thread_count(computing.threads),
    )
    writer = _Writer(job)
    answers = in_background(writer.write, in_background(job.network.answer, decoded))
    try:
        with closing(answers):
            yield from answers
    finally:
        writer.close()


class _Writer:
    """Writes answers, which come in order, and marks the pieces that are done."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._piece: PieceWriter | None = None
        self._failures: list[Failure] = []

    def write(self, answer: Answer) -> Answer:
        """Write a batch."""
        piece = answer.batch.piece
        if self._piece is None:
            self._piece, self._failures = self._job.destination.piece_writer(piece), []
        if answer.read:
            self._piece.add(answer.read, answer.probabilities)
        self._failures += [
            Failure(printable(self._job.images.keys[index]), error.what) for index, error in answer.unreadable
        ]
        if answer.batch.is_last:
            self._piece.commit()
            self._job.folder.mark_done(piece, self._failures)
            self._piece = None
        return answer

    def close(self) -> None:
        """Throw away a piece that is not complete."""
        if self._piece is not None:
            self._piece.discard()


def failures_of(job: Job, pieces: Sequence[Piece]) -> list[Failure]:
    """The images of pieces that failed."""
    return [failure for piece in pieces if job.folder.is_done(piece) for failure in job.folder.failures(piece)]


def finish(job: Job) -> int:
    """Put the results together and list what failed, once all pieces are done by whomever.

    Returns:
        Number of pieces that are still to be done, by other shards.

    Raises:
        UserError: the output cannot be written.
    """
    with job.folder.lock():
        waiting = sum(not job.folder.is_done(piece) for piece in job.pieces)
        if waiting:
            return waiting
        failures = [job.folder.failures(piece) for piece in job.pieces]
        if not job.folder.is_finished:
            job.destination.put_together(job.pieces, failures)
        _list_failures(job, [failure for each in failures for failure in each])
        job.folder.mark_finished(job.pieces)
    return 0


def _list_failures(job: Job, failures: Sequence[Failure]) -> None:
    """Write which images failed; no file when none did."""
    lines = [json.dumps({"key": failure.key, "reason": failure.reason}) + "\n" for failure in failures]
    content = "".join(lines).encode()
    elsewhere = job.request.failed
    if elsewhere is None and failures:
        job.output.put(FAILED_FILE, partial(write_file, content=content))
    elif elsewhere is None:
        job.output.remove([FAILED_FILE])
    elif failures:
        make_folder(elsewhere.parent)
        write_file(elsewhere, content)
    else:
        elsewhere.unlink(missing_ok=True)


def _destination(
    request: Request, images: Unlabelled, network: Network, folder: WorkFolder, output: OutputFolder
) -> Destination:
    labels = network.labels
    if request.format is Format.PARQUET:
        return PutTogether(ParquetAssembly(images, labels), images, folder, output, "predictions.parquet")
    rows = CsvRows(images, labels) if request.format is Format.CSV else BodyRows(request, images, labels)
    if request.format is Format.OUT and images.objects is None:
        return FileForEachImage(output, images, rows)
    file_name = None if request.format is Format.OUT else f"predictions.{request.format}"
    return PutTogether(RowAssembly(rows), images, folder, output, file_name)


def _settings(request: Request, network: Network, folder: WorkFolder, destination: Destination) -> dict[str, object]:
    """What decides the results. A file for each image can be added to later; a single file cannot."""
    settings: dict[str, object] = {
        "model": network.fingerprint,
        "source": _settled(request.source),
        "image_root": None if request.image_root is None else _settled(request.image_root),
        "format": request.format,
        "form": request.form.value,
        "assemble_with": request.assemble_with,
        "join_source": request.join_source,
        "input_filter": request.input_filter,
        "output_filter": request.output_filter,
        "backend": request.computing.backend,
        "precision": request.computing.precision,
    }
    return settings if isinstance(destination, FileForEachImage) else {**settings, "images": folder.images_hash}


def _settled(place: str | Path) -> str:
    """The name of a place from wherever it is looked at, without what is secret in an address."""
    return str(parse_address(str(place))) if is_remote(place) else printable(Path(place).resolve())


def _forget_removed_results(job: Job) -> None:
    """Do a finished job again whose results were removed since."""
    with job.folder.lock():
        if not job.folder.is_finished:
            return
        failures = [job.folder.failures(piece) for piece in job.pieces]
        if not job.destination.is_put_together(job.pieces, failures):
            job.folder.forget_pieces(job.pieces)
