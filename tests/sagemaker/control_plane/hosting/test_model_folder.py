"""Models unpacked for their instances."""

import io
import tarfile
from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.sagemaker.control_plane.hosting import model_archive
from imclass.sagemaker.control_plane.hosting.deployment import Variant
from imclass.sagemaker.control_plane.hosting.model_folder import make_model_folder
from tests.sagemaker.control_plane.hosting.buckets import buckets_in


def variant(address: str, *, is_archive: bool = True) -> Variant:
    return Variant("A", "m", "image", address, is_archive, {}, 1, 1.0)


def archive_with(path: Path, **files: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_with_whatever_is_in_it(tmp_path: Path) -> None:
    buckets, folder = buckets_in(tmp_path), tmp_path / "endpoint/model"
    archive_with(tmp_path / "bucket/m/model.tar.gz", **{"model.json": b"{}", "code/inference.py": b"pass"})
    make_model_folder(variant("s3://bucket/m/model.tar.gz"), buckets, folder)
    assert (folder / "code/inference.py").read_bytes() == b"pass"
    (tmp_path / "bucket/m/model.tar.gz").unlink()
    make_model_folder(variant("s3://bucket/m/model.tar.gz"), buckets, folder)  # what is there stays
    assert (folder / "model.json").exists()


def test_files_that_are_not_packed(tmp_path: Path) -> None:
    buckets, folder = buckets_in(tmp_path), tmp_path / "endpoint/model"
    (tmp_path / "bucket/m/code").mkdir(parents=True)
    (tmp_path / "bucket/m/model.json").write_text("{}")
    (tmp_path / "bucket/m/code/x.py").write_text("pass")
    make_model_folder(variant("s3://bucket/m/", is_archive=False), buckets, folder)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == ["code/x.py", "model.json"]


def test_what_is_no_archive_leaves_no_folder(tmp_path: Path) -> None:
    buckets, folder = buckets_in(tmp_path), tmp_path / "endpoint/model"
    archive_with(tmp_path / "bucket/good.tar.gz", **{"model.json": bytes(100_000)})
    content = (tmp_path / "bucket/good.tar.gz").read_bytes()
    for name, bad in (("text", b"hello"), ("half", content[:40]), ("empty", b"")):
        (tmp_path / "bucket" / name).write_bytes(bad)
        with pytest.raises(UserError, match="it cannot be unpacked"):
            make_model_folder(variant(f"s3://bucket/{name}"), buckets, folder)
        assert not folder.exists()
    with pytest.raises(UserError, match="there is no model data any more"):
        make_model_folder(variant("s3://bucket/goo"), buckets, folder)


def test_an_archive_that_leads_out_is_refused(tmp_path: Path) -> None:
    archive_with(tmp_path / "bucket/evil.tar.gz", **{"../../evil": b"x"})
    with pytest.raises(UserError, match="outside the destination"):
        make_model_folder(variant("s3://bucket/evil.tar.gz"), buckets_in(tmp_path), tmp_path / "endpoint/model")
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_archive, "VOLUME_BYTES", 1000)
    archive_with(tmp_path / "bucket/large.tar.gz", a=bytes(600), b=bytes(600))
    with pytest.raises(UserError, match="more than 1,000 bytes"):
        make_model_folder(variant("s3://bucket/large.tar.gz"), buckets_in(tmp_path), tmp_path / "endpoint/model")
