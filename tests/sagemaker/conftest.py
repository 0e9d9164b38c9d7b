from collections.abc import Callable
from pathlib import Path

import pytest

from imclass.sagemaker.layout import Layout
from tests.sagemaker.job_folder import write_job


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Layout]:
    """Writes a small job; arguments are those of `write_config`."""

    def make(**config: object) -> Layout:
        return write_job(tmp_path / "ml", **config)

    return make
