"""What a job keeps."""

import subprocess
import sys
from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.inference.transform import work_folder
from imclass.inference.transform.pieces import Piece
from imclass.inference.transform.work_folder import Failure, WorkFolder

PIECE = Piece(12, 768, 832)


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    return WorkFolder(tmp_path / ".results.transform", ["a.jpg", "b.jpg"])


def test_failures_of_a_piece_are_kept(folder: WorkFolder, tmp_path: Path) -> None:
    assert not folder.is_done(PIECE)
    folder.mark_done(PIECE, [Failure("ü.jpg", "the file is empty")])
    again = WorkFolder(tmp_path / ".results.transform", ["a.jpg", "b.jpg"])
    assert again.is_done(PIECE)
    assert again.failures(PIECE) == [Failure("ü.jpg", "the file is empty")]


def test_other_images_have_pieces_of_their_own(folder: WorkFolder, tmp_path: Path) -> None:
    folder.mark_done(PIECE, [])
    assert not WorkFolder(tmp_path / ".results.transform", ["a.jpg", "c.jpg"]).is_done(PIECE)


def test_the_first_to_claim_decides_and_the_others_compare(folder: WorkFolder) -> None:
    folder.claim({"model": "x", "format": "csv"}, list)
    folder.claim({"model": "x", "format": "csv"}, list)
    with pytest.raises(UserError) as caught:
        folder.claim({"model": "y", "format": "csv"}, list)
    assert "model: x there, y now" in str(caught.value)
    assert "format" not in caught.value.what
    assert sorted(path.name for path in folder.path.iterdir() if path.is_file()) == ["job.json", "lock"]


def test_results_without_a_job_are_refused(folder: WorkFolder) -> None:
    with pytest.raises(UserError, match="which model made them is not known"):
        folder.claim({"model": "x"}, lambda: ["results/a.jpg.out"])


def test_finished_work_needs_no_rows(folder: WorkFolder) -> None:
    folder.rows_file(PIECE).write_bytes(b"rows")
    folder.mark_done(PIECE, [])
    folder.mark_finished([PIECE])
    assert folder.is_finished
    assert not folder.rows_file(PIECE).exists()
    folder.forget_pieces([PIECE])
    assert not folder.is_finished
    assert not folder.is_done(PIECE)


def test_one_process_at_a_time_puts_together(folder: WorkFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_folder, "LOCK_SECONDS", 0.3)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(folder.path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match="does not end"), folder.lock():
            pytest.fail("two processes hold the lock")
        other.stdin.close()
    with folder.lock():
        assert (folder.path / "lock").exists()
