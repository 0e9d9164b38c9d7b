import subprocess
import sys
from pathlib import Path

import pytest

from imclass.errors import DataError
from imclass.hyperparameters import FIELDS
from imclass.hyperparameters.table import field_table, main, sections, updated

PAGE = Path(__file__).parents[2] / "docs" / "hyperparameters.md"


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert updated(page) == page, f"run python -m imclass.hyperparameters.table --write docs/{PAGE.name}"


def test_one_row_a_hyperparameter() -> None:
    original, extensions = sections()["original hyperparameters"], sections()["extensions"]
    for facts in FIELDS.values():
        assert (f"\n| `{facts.name}` | " in original) == facts.original
        assert (f"\n| `{facts.name}` | " in extensions) != facts.original


def test_a_row() -> None:
    table = field_table([FIELDS["learning_rate"], FIELDS["early_stopping"], FIELDS["optimizer"]])
    assert table.splitlines()[2:] == [
        "| `learning_rate` | number | 0 to 1 | 0.1 | Learning rate at the start. | 1e-06 to 0.5 |",
        "| `early_stopping` | boolean | True or False | False | Stop when the validation accuracy no longer "
        "improves. |  |",
        "| `optimizer` | choice | sgd, adam, rmsprop, nag, muon | sgd | sgd: stochastic gradient descent with "
        "momentum; nag: with Nesterov's momentum; adam; rmsprop; muon (an extension): steps that turn all directions "
        "of a convolution alike. | sgd, adam, rmsprop, nag |",
    ]


def test_no_template_is_left_in_the_sentences() -> None:
    assert all("{" not in text for text in sections().values())


def test_prints_every_part() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "imclass.hyperparameters.table"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(f"## {name}\n\n{text}" in done.stdout for name, text in sections().items())


def test_writes_between_the_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    marked = "".join(f"<!-- generated: {name} -->\nold\n<!-- end: {name} -->\n" for name in sections())
    page.write_text(f"before\n{marked}after\n", encoding="utf-8")
    page.chmod(0o640)
    main(["--write", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- generated: original hyperparameters -->\n| name |")
    assert text.endswith("<!-- end: warnings -->\nafter\n")
    assert "old" not in text.splitlines()
    assert updated(text) == text
    assert page.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [page]


def test_a_page_without_markers_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["--write", str(page)])
    assert caught.value.code == 2
    assert "0 places for 'original hyperparameters'" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "no markers\n"


def test_markers_twice_are_refused() -> None:
    page = "".join(f"<!-- generated: {name} --><!-- end: {name} -->\n" for name in sections())
    with pytest.raises(DataError, match="2 places"):
        updated(page + page)
