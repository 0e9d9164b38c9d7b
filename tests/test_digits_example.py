"""The demo's data set is the same in its three forms."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from imclass.data import open_source

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.py"


def test_three_forms_of_one_data_set(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), str(tmp_path), "--data-only"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "1347 images" in printed
    sources = {form: open_source(tmp_path / form) for form in ("held-out", "held-out.lst", "held-out.rec")}
    for form, source in sources.items():
        assert len(source) == 450, form
        assert np.bincount(source.labels[:, 0].astype(int)).min() >= 40
    images = [
        sorted((float(sample.label[0]), sample.image) for sample in map(source.__getitem__, range(len(source))))
        for source in sources.values()
    ]
    assert images[0] == images[1] == images[2]
    assert images[0][0][1].startswith(b"\x89PNG")
