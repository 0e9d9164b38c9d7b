"""Batch transform in one process: every form of input and output."""

import csv
import json
import resource
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

import imclass
from imclass.data import RecordWriter, pack_image
from imclass.data.unlabelled import SplitType
from imclass.errors import UserError
from imclass.inference.transform import AssembleWith, Format, JoinSource, Request, Shard, Summary, transform
from tests.inference.transform.conftest import CPU, relative_files


@dataclass
class Watched:
    """Remembers what it was told."""

    images: int = 0
    already: int = 0
    batches: list[int] = field(default_factory=list)

    def begin(self, images: int, already: int) -> None:
        self.images, self.already = images, already

    def advance(self, images: int) -> None:
        self.batches.append(images)


def run(request: Request, **changes: object) -> Summary:
    return transform(request, Watched(), **changes)  # type: ignore[arg-type]


@pytest.fixture
def request_of(model: Path, photos: Path, tmp_path: Path) -> Callable[..., Request]:
    def make(**changes: object) -> Request:
        return replace(Request(model, photos, tmp_path / "results", computing=CPU), **changes)  # type: ignore[arg-type]

    return make


def expected(request: Request, keys: list[str]) -> np.ndarray:
    """What `imclass.load(...).predict` says of the images."""
    return imclass.load(request.model, device="cpu").predict([request.source / key for key in keys])


def keys_of(photos: Path) -> list[str]:
    return sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))


def test_every_image_has_a_file_and_nothing_else_is_there(request_of: Callable[..., Request], photos: Path) -> None:
    request = request_of()
    watched = Watched()
    summary = transform(request, watched)
    keys = keys_of(photos)
    assert relative_files(request.output) == sorted(f"{key}.out" for key in keys)
    assert (summary.images, summary.predicted, list(summary.failures), summary.waiting_pieces) == (150, 150, [], 0)
    assert (watched.images, watched.already, sum(watched.batches)) == (150, 0, 150)
    for key, row in zip(keys, expected(request, keys), strict=True):
        text = (request.output / f"{key}.out").read_text()
        values = json.loads(text)["prediction"]
        np.testing.assert_allclose(values, row, atol=1e-6)
        assert text == json.dumps({"prediction": [float(np.float32(value)) for value in values]})


@pytest.mark.parametrize(
    ("accept", "assemble_with", "ending"),
    [
        (None, AssembleWith.NONE, b"]}"),
        (None, AssembleWith.LINE, b"]}\n"),
        ("application/json", AssembleWith.NONE, b"]"),
        ("application/jsonlines", AssembleWith.NONE, b"]}\n"),
        ("application/jsonlines", AssembleWith.LINE, b"]}\n"),
    ],
)
def test_bytes_of_a_result(
    request_of: Callable[..., Request], accept: str | None, assemble_with: AssembleWith, ending: bytes
) -> None:
    request = request_of(accept=accept, assemble_with=assemble_with)
    run(request)
    body = (request.output / "a/0000.png.out").read_bytes()
    assert body.endswith(ending)
    values = json.loads(body)
    values = values["prediction"] if isinstance(values, dict) else values
    np.testing.assert_allclose(values, expected(request, ["a/0000.png"])[0], atol=1e-6)
    bare = ", ".join(map(repr, values))
    assert body.rstrip(b"\n").decode() == (
        f"[{bare}]" if accept == "application/json" else f'{{"prediction": [{bare}]}}'
    )


def test_verbose_results(request_of: Callable[..., Request]) -> None:
    request = request_of(accept="application/json;verbose")
    run(request)
    result = json.loads((request.output / "a/0000.png.out").read_text())
    assert result["labels"] == ["cat", "dog", "owl"]
    assert result["predicted_label"] == result["labels"][int(np.argmax(result["probabilities"]))]


def test_images_that_fail_are_listed_and_tried_again(
    request_of: Callable[..., Request],
    photos: Path,
    write_png: Callable[..., Path],
    pixels_of: Callable[..., np.ndarray],
) -> None:
    (photos / "a/0000.png").write_bytes(b"no image")
    (photos / "b/deep/0149.png").write_bytes(b"")
    request = request_of()
    summary = run(request)
    listed = [json.loads(line) for line in (request.output / "failed.jsonl").read_text().splitlines()]
    assert [failure["key"] for failure in listed] == ["a/0000.png", "b/deep/0149.png"]
    assert listed[1]["reason"] == "the file is empty"
    assert [failure.key for failure in summary.failures] == [failure["key"] for failure in listed]
    good = [key for key in keys_of(photos) if key not in {failure["key"] for failure in listed}]
    assert relative_files(request.output) == sorted([*(f"{key}.out" for key in good), "failed.jsonl"])

    write_png(photos / "a/0000.png", pixels_of(0))
    again = run(request)
    assert (again.predicted, [failure.key for failure in again.failures]) == (2, ["b/deep/0149.png"])
    assert (request.output / "a/0000.png.out").exists()
    assert len((request.output / "failed.jsonl").read_text().splitlines()) == 1

    write_png(photos / "b/deep/0149.png", pixels_of(1))
    assert list(run(request).failures) == []
    assert relative_files(request.output) == sorted(f"{key}.out" for key in keys_of(photos))


def test_failures_can_be_listed_elsewhere(request_of: Callable[..., Request], photos: Path, tmp_path: Path) -> None:
    (photos / "a/0000.png").write_bytes(b"no image")
    request = request_of(failed=tmp_path / "log" / "bad.jsonl", format=Format.JSONL)
    run(request)
    assert json.loads((tmp_path / "log" / "bad.jsonl").read_text())["key"] == "a/0000.png"
    assert relative_files(request.output) == ["predictions.jsonl"]
    assert len((request.output / "predictions.jsonl").read_text().splitlines()) == 149


def test_what_is_done_is_not_done_again(request_of: Callable[..., Request], photos: Path) -> None:
    request = request_of()
    run(request)
    before = {path: path.stat().st_mtime_ns for path in request.output.rglob("*.out")}
    (request.output / "b/deep/0002.png.out").unlink()
    (request.output / "b/deep/0005.png.out").write_bytes(b"")  # as a power failure may leave it
    watched = Watched()
    assert transform(request, watched).predicted == 2
    assert (watched.images, watched.already) == (150, 148)
    changed = [path.name for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert sorted(changed) == ["0002.png.out", "0005.png.out"]


def test_new_images_are_added_to_files_for_each(
    request_of: Callable[..., Request],
    photos: Path,
    write_png: Callable[..., Path],
    pixels_of: Callable[..., np.ndarray],
) -> None:
    request = request_of()
    run(request)
    write_png(photos / "a/new.png", pixels_of(7))
    assert run(request).predicted == 1
    assert (request.output / "a/new.png.out").exists()


@pytest.mark.parametrize("format", [Format.JSONL, Format.CSV, Format.PARQUET])
def test_single_files_are_in_order_and_the_same_for_any_number_of_threads_and_shards(
    request_of: Callable[..., Request], photos: Path, tmp_path: Path, format: Format
) -> None:
    if format is Format.PARQUET:
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    contents = []
    for threads, shards in ((1, 1), (3, 1), (2, 3)):
        request = request_of(
            format=format, output=tmp_path / f"{threads}-{shards}", computing=replace(CPU, threads=threads)
        )
        waiting = [run(request, shard=Shard(index, shards)).waiting_pieces for index in reversed(range(shards))]
        assert waiting == list(reversed(range(shards)))  # three pieces: each shard has one
        assert relative_files(request.output) == [f"predictions.{format}"]
        contents.append((request.output / f"predictions.{format}").read_bytes())
    assert contents[0] == contents[1] == contents[2]

    keys, rows = read_predictions(request.output / f"predictions.{format}", format)
    assert keys == keys_of(photos)
    np.testing.assert_allclose(rows, expected(request, keys), atol=1e-6)


def read_predictions(path: Path, format: Format) -> tuple[list[str], np.ndarray]:
    if format is Format.JSONL:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line["key"] for line in lines], np.array([line["prediction"] for line in lines])
    if format is Format.CSV:
        _, *table = csv.reader(path.read_text().splitlines())
        return [line[0] for line in table], np.array([line[2:] for line in table], np.float64)
    from pyarrow import parquet

    columns = parquet.read_table(path).to_pydict()
    rows = np.array(columns["probabilities"])
    assert columns["predicted_label"] == [("cat", "dog", "owl")[number] for number in rows.argmax(axis=1)]
    return columns["key"], rows


def test_labels_of_a_multi_label_model_in_parquet(
    request_of: Callable[..., Request], save_model: Callable[..., Path], photos: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    request = request_of(model=save_model(multi_label=True), format=Format.PARQUET)
    run(request)
    table = parquet.read_table(request.output / "predictions.parquet")
    assert json.loads(table.schema.metadata[b"class_names"]) == ["cat", "dog", "owl"]
    rows = np.array(table["probabilities"].to_pylist())
    assert table["predicted_labels"].to_pylist() == [
        [name for name, value in zip(("cat", "dog", "owl"), row, strict=True) if value > 0.5] for row in rows
    ]


def test_a_finished_single_file_is_left_alone_and_made_again_when_removed(
    request_of: Callable[..., Request], photos: Path
) -> None:
    request = request_of(format=Format.JSONL)
    run(request)
    path = request.output / "predictions.jsonl"
    content, time = path.read_bytes(), path.stat().st_mtime_ns
    assert run(request).predicted == 0
    assert path.stat().st_mtime_ns == time
    assert list(request.work_folder.rglob("*.rows")) == []
    path.unlink()
    assert run(request).predicted == 150
    assert path.read_bytes() == content


def test_a_folder_of_another_job_is_refused(
    request_of: Callable[..., Request], save_model: Callable[..., Path], photos: Path
) -> None:
    request = request_of(format=Format.JSONL)
    run(request)
    for changes, said in (
        ({"model": save_model(class_names=("a", "b", "c"))}, "model: "),
        ({"accept": "application/json;verbose"}, "form: object there, verbose now"),
        ({"format": Format.CSV}, "format: jsonl there, csv now"),
        ({"source": photos / "a"}, "images: "),
    ):
        with pytest.raises(UserError, match=said):
            run(replace(request, **changes))  # type: ignore[arg-type]
    other = replace(request, accept="application/json;verbose")
    assert run(other, restart=True).predicted == 150
    assert "predicted_label" in (request.output / "predictions.jsonl").read_text()


def test_results_of_unknown_origin_are_refused(request_of: Callable[..., Request], photos: Path) -> None:
    request = request_of()
    stray = request.output / "a/0000.png.out"
    stray.parent.mkdir(parents=True)
    stray.write_text("of another model")
    with pytest.raises(UserError, match="there are results already"):
        run(request)
    assert stray.read_text() == "of another model"
    assert run(request, restart=True).predicted == 150


def test_several_processes_cannot_begin_anew(request_of: Callable[..., Request]) -> None:
    with pytest.raises(UserError, match="cannot begin anew together"):
        run(request_of(), shard=Shard(0, 2), restart=True)


def test_lists_keep_their_order_and_are_joined(
    request_of: Callable[..., Request], photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.lst"
    path.write_text("9\t2\tb/0001.png\n4\t0\ta/0000.png\n")
    request = request_of(source=path, image_root=photos, format=Format.JSONL, join_source=JoinSource.INPUT)
    run(request)
    lines = [json.loads(line) for line in (request.output / "predictions.jsonl").read_text().splitlines()]
    assert [line["SageMakerInput"] for line in lines] == [[9, 2.0, "b/0001.png"], [4, 0.0, "a/0000.png"]]
    rows = imclass.load(request.model, device="cpu").predict([photos / "b/0001.png", photos / "a/0000.png"])
    np.testing.assert_allclose([line["SageMakerOutput"]["prediction"] for line in lines], rows, atol=1e-6)


def test_images_outside_the_root_have_no_file_of_their_own(
    request_of: Callable[..., Request], photos: Path, tmp_path: Path
) -> None:
    path = photos / "a" / "x.lst"
    path.write_text(f"1\t0\t../b/0001.png\n2\t0\t{photos / 'b' / '0004.png'}\n3\t0\t0000.png\n")
    with pytest.raises(UserError, match=r"\.\./b/0001\.png leads out of the output folder") as caught:
        run(request_of(source=path))
    assert "0004.png leads out" in str(caught.value)
    assert not list(tmp_path.rglob("*.out"))
    run(request_of(source=path, format=Format.CSV))
    assert (
        run(request_of(source=path, image_root=photos / "a", output=tmp_path / "jsonl", format=Format.JSONL)).images
        == 3
    )


def test_a_name_that_leaves_no_room_for_its_result_is_refused(
    request_of: Callable[..., Request],
    photos: Path,
    write_png: Callable[..., Path],
    pixels_of: Callable[..., np.ndarray],
) -> None:
    write_png(photos / ("n" * 229 + ".png"), pixels_of(0))
    request = request_of()
    assert run(request).predicted == 151
    write_png(photos / ("m" * 230 + ".png"), pixels_of(0))
    with pytest.raises(UserError, match="has too long a name"):
        run(request)


@pytest.mark.parametrize("format", list(Format))
def test_a_full_disk_is_the_users_error_and_leaves_nothing_half(
    request_of: Callable[..., Request], tmp_path: Path, format: Format
) -> None:
    if format is Format.PARQUET:
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    request = request_of(format=format)
    if format is Format.OUT:
        long_names = tuple(letter * 300 for letter in "abc")
        request = request_of(accept="application/json;verbose", class_names=long_names)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The settings of the job fit; results with long names, or a piece of a single file, do not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
    try:
        with pytest.raises(UserError, match="cannot be written: File too large"):
            run(request)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [path for path in request.work_folder.rglob("*") if path.suffix in (".rows", ".tmp", ".done")] == []
    assert relative_files(request.output) == []
    assert run(request).predicted == 150


def pack(path: Path, images: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordWriter(path) as writer:
        for number, image in enumerate(images):
            writer.write(number, pack_image(1.0, image, image_id=number))
    return path


@pytest.mark.parametrize(("assemble_with", "between"), [(AssembleWith.NONE, "}{"), (AssembleWith.LINE, "}\n{")])
def test_a_file_of_records_has_one_file_of_results(
    request_of: Callable[..., Request], photos: Path, tmp_path: Path, assemble_with: AssembleWith, between: str
) -> None:
    keys = keys_of(photos)
    images = [(photos / key).read_bytes() for key in keys]
    pack(tmp_path / "in/a.rec", images[:100])
    pack(tmp_path / "in/deep/b.rec", images[100:])
    request = request_of(source=tmp_path / "in", split_type=SplitType.RECORDIO, assemble_with=assemble_with)
    assert run(request).images == 150
    assert relative_files(request.output) == ["a.rec.out", "deep/b.rec.out"]
    text = (request.output / "a.rec.out").read_text()
    assert text.count(between) == 99
    rows = [json.loads(line)["prediction"] for line in text.replace("}{", "}\n{").splitlines()]
    np.testing.assert_allclose(rows, expected(request_of(), keys[:100]), atol=1e-6)


def test_a_file_with_a_broken_record_has_no_results_but_the_others_do(
    request_of: Callable[..., Request], photos: Path, tmp_path: Path
) -> None:
    image = (photos / "a/0000.png").read_bytes()
    pack(tmp_path / "in/a.rec", [image, b"broken", image])
    pack(tmp_path / "in/b.rec", [image])
    request = request_of(source=tmp_path / "in", split_type=SplitType.RECORDIO)
    summary = run(request)
    assert relative_files(request.output) == ["b.rec.out", "failed.jsonl"]
    assert [failure.key.startswith("a.rec:") for failure in summary.failures] == [True]
    lines = request_of(source=tmp_path / "in/a.rec", format=Format.JSONL, output=tmp_path / "lines")
    run(lines)
    assert len((lines.output / "predictions.jsonl").read_text().splitlines()) == 2


def test_everything_that_does_not_go_together_is_named(request_of: Callable[..., Request]) -> None:
    with pytest.raises(UserError) as caught:
        request_of(
            format=Format.CSV,
            accept="text/plain",
            join_source=JoinSource.INPUT,
            assemble_with=AssembleWith.LINE,
            computing=replace(CPU, batch_size=0),
        )
    for said in ("accept chooses", "join_source", "assemble_with", "batch_size 0", "cannot be written as text/plain"):
        assert said in str(caught.value)


def test_a_full_or_forbidden_output_is_the_users_error(request_of: Callable[..., Request], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, and a folder is needed"):
        request_of(output=tmp_path / "file")
    with pytest.raises(UserError, match="the folder cannot be made"):
        run(request_of(output=tmp_path / "file" / "results"))
