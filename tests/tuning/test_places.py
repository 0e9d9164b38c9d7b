"""How a machine is shared out."""

from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.tuning.places import Place, share_out, usable_gpus


def test_cores_are_divided_and_not_shared() -> None:
    places = share_out(3, range(8), ())
    assert [place.cores for place in places] == [(0, 1), (2, 3, 4), (5, 6, 7)]
    assert places[1].environment == {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": ""}
    assert share_out(1, (3, 5), ()) == [Place(0, (3, 5))]


def test_each_place_has_a_gpu_of_its_own() -> None:
    assert [place.gpu for place in share_out(4, range(16), ("0", "1", "2", "3"))] == ["0", "1", "2", "3"]
    assert [place.gpu for place in share_out(2, range(16), ("0", "1", "2", "3"))] == ["0", "1"]
    assert [place.gpu for place in share_out(4, range(16), ("GPU-a", "GPU-b"))] == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]


def test_too_many_places() -> None:
    with pytest.raises(UserError, match="5 trials at once need 5 cores, and 4 can be used"):
        share_out(5, range(4), ("0",))


def test_gpus_that_may_be_used(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert usable_gpus({}, tmp_path) == ["0", "2", "10"]
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "1, GPU-5f"}, tmp_path) == ["1", "GPU-5f"]
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == []
