"""Packing: MXNet's own records, left-out images, interruptions."""

import subprocess
import sys
from pathlib import Path

import pytest

from imclass.data import open_source
from imclass.data.packing_list import divide, packing_list
from imclass.errors import DataError
from imclass.images import BadImages, dimensions
from imclass.images.packing import Packed, PackSettings, pack, write_lists
from imclass.images.reencode import Encoding
from tests.data.golden_files import GOLDEN
from tests.pictures import write_class_folders

IM2REC = GOLDEN / "im2rec"


def pack_all(source: Path, output: Path, settings: PackSettings, *, limit: float = 0.0, **options) -> list[Packed]:
    packing = packing_list(source, image_root=options.pop("image_root", None), shuffle=options.pop("shuffle", None))
    division = {name: options.pop(name) for name in ("chunks", "train_ratio") if name in options}
    parts = divide(packing.order, **division)
    write_lists(packing, parts, output)
    return pack(packing, parts, output, settings, bad_images=BadImages(limit), threads=2, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def golden(name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in IM2REC.glob(f"{name}.*") if path.suffix != ".json"}


def test_golden_records_of_a_folder(tmp_path: Path) -> None:
    packed = pack_all(IM2REC / "images", tmp_path / "fruit.rec", PackSettings())
    assert packed == [Packed(tmp_path / "fruit.rec", 10, 0, 0)]
    assert contents(tmp_path) == {
        f"fruit.{end}": (IM2REC / f"fruit.{end}").read_bytes() for end in ("lst", "rec", "idx")
    }


def test_golden_records_of_a_list_with_three_labels(tmp_path: Path) -> None:
    settings = PackSettings(pack_label=True)
    pack_all(IM2REC / "multi.lst", tmp_path / "multi.rec", settings, image_root=IM2REC / "images")
    assert contents(tmp_path) == {
        f"multi.{end}": (IM2REC / f"multi.{end}").read_bytes() for end in ("lst", "rec", "idx")
    }


def test_without_pack_label_the_first_label_is_stored(tmp_path: Path) -> None:
    pack_all(IM2REC / "multi.lst", tmp_path / "m.rec", PackSettings(), image_root=IM2REC / "images")
    assert open_source(tmp_path / "m.rec").labels[:, 0].tolist() == [0, 1, 0, 0, 1, 1, 0, 0, 0, 1]


def test_records_can_be_packed_smaller(tmp_path: Path) -> None:
    pack_all(IM2REC / "fruit.rec", tmp_path / "small.rec", PackSettings(Encoding(resize=20)))
    small, whole = open_source(tmp_path / "small.rec"), open_source(IM2REC / "fruit.rec")
    assert small.labels.tolist() == whole.labels.tolist()
    assert small.ids.tolist() == whole.ids.tolist()  # type: ignore[attr-defined]
    assert {min(dimensions(small[index].image)) for index in range(10)} == {20}


def test_parts_hold_everything_once(tmp_path: Path) -> None:
    packed = pack_all(IM2REC / "images", tmp_path / "x.rec", PackSettings(), chunks=2, train_ratio=0.6)
    assert [file.path.name for file in packed] == ["x_0_train.rec", "x_0_val.rec", "x_1_train.rec", "x_1_val.rec"]
    assert [file.images for file in packed] == [3, 2, 3, 2]
    ids = [number for file in packed for number in open_source(file.path).ids.tolist()]  # type: ignore[attr-defined]
    assert ids == open_source(IM2REC / "fruit.rec").ids.tolist()  # type: ignore[attr-defined]
    assert len(contents(tmp_path)) == 12


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """60 pictures, of which two are broken and one link goes nowhere."""
    root = write_class_folders(tmp_path / "photos", per_class=20)
    (root / "bars" / "003.png").write_bytes(b"no image")
    (root / "dots" / "007.png").write_bytes((root / "dots" / "008.png").read_bytes()[:-20])
    (root / "rings" / "999.png").symlink_to(root / "nowhere.png")
    return root


def test_unreadable_images_are_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    packing = packing_list(photos)
    bad_images = BadImages(0.1)
    parts = divide(packing.order)
    (packed,) = pack(packing, parts, tmp_path / "x.rec", PackSettings(Encoding()), bad_images=bad_images, threads=2)
    assert (packed.images, packed.unreadable) == (58, 3)
    assert sorted(entry.key for entry in bad_images.entries) == ["bars/003.png", "dots/007.png", "rings/999.png"]
    ids = open_source(tmp_path / "x.rec").ids.tolist()  # type: ignore[attr-defined]
    assert ids == [int(packing.ids[s]) for s in packing.order if packing.source.key(s) not in
                   {"bars/003.png", "dots/007.png", "rings/999.png"}]  # fmt: skip


def test_too_many_unreadable_images_stop_the_work_and_a_higher_limit_goes_on(photos: Path, tmp_path: Path) -> None:
    settings = PackSettings(Encoding(quality=90))
    with pytest.raises(DataError, match="of 61 cannot be read"):
        pack_all(photos, tmp_path / "x.rec", settings)
    assert not (tmp_path / "x.rec").exists()
    (packed,) = pack_all(photos, tmp_path / "x.rec", settings, limit=0.1)
    assert (packed.images, packed.unreadable) == (58, 3)
    assert 0 < packed.kept < 61


class StopError(Exception):
    pass


def stop_after(count: int):
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        if done >= count:
            raise StopError

    return progress


@pytest.mark.parametrize("stop", [1, 20, 31, 45])
def test_an_interrupted_attempt_goes_on_to_the_same_bytes(stop: int, photos: Path, tmp_path: Path) -> None:
    settings = PackSettings(Encoding(resize=12))
    (tmp_path / "whole").mkdir()
    (tmp_path / "halves").mkdir()
    pack_all(photos, tmp_path / "whole" / "x.rec", settings, limit=0.1, chunks=2)
    with pytest.raises(StopError):
        pack_all(photos, tmp_path / "halves" / "x.rec", settings, limit=0.1, chunks=2, progress=stop_after(stop))
    packed = pack_all(photos, tmp_path / "halves" / "x.rec", settings, limit=0.1, chunks=2)
    assert contents(tmp_path / "halves") == contents(tmp_path / "whole")
    assert sum(file.kept for file in packed) == stop


def test_other_settings_begin_anew(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        pack_all(photos, tmp_path / "x.rec", PackSettings(Encoding(resize=12)), limit=0.1, progress=stop_after(20))
    (packed,) = pack_all(photos, tmp_path / "x.rec", PackSettings(Encoding(resize=13)), limit=0.1)
    assert (packed.kept, packed.images) == (0, 58)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "x.rec", "x.idx", "x.lst"}


def test_what_is_packed_is_never_replaced(tmp_path: Path) -> None:
    for name in ("fruit.lst", "fruit.rec"):
        (tmp_path / name).write_bytes((IM2REC / name).read_bytes())
    before = contents(tmp_path)
    with pytest.raises(DataError, match="would be replaced by a shuffled"):
        pack_all(
            tmp_path / "fruit.lst", tmp_path / "fruit.rec", PackSettings(), image_root=IM2REC / "images", shuffle=True
        )
    packing = packing_list(tmp_path / "fruit.rec")
    with pytest.raises(DataError, match="is to be packed and would be replaced"):
        pack(packing, divide(packing.order), tmp_path / "fruit.rec", PackSettings(), bad_images=BadImages(0))
    assert contents(tmp_path) == before
    (tmp_path / "fruit.rec").unlink()
    pack_all(tmp_path / "fruit.lst", tmp_path / "fruit.rec", PackSettings(), image_root=IM2REC / "images")
    assert contents(tmp_path) == {**before, "fruit.idx": (IM2REC / "fruit.idx").read_bytes()}


def test_packing_does_without_torch() -> None:
    """Its import takes longer than packing a thousand images."""
    code = "import sys, imclass.cli.pack, imclass.images.packing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
