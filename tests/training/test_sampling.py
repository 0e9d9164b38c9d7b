import numpy as np
import pytest

from imclass.training.sampling import Sampler, evaluation_requests, permutation


def test_passes_follow_each_other_without_a_gap() -> None:
    sampler = Sampler(samples=10, batch_size=4, steps_per_epoch=2, seed=3)
    seen = [sampler.request(step, slice(0, 4)) for step in range(10)]
    indices = np.concatenate([batch[0] for batch in seen])
    passes = np.concatenate([batch[1] for batch in seen])
    assert passes.tolist() == sorted(passes.tolist())
    for number in range(4):
        assert sorted(indices[passes == number].tolist()) == list(range(10))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_each_step(processes: int) -> None:
    sampler = Sampler(samples=23, batch_size=7, steps_per_epoch=3, seed=0)
    whole = sampler.request(5, slice(0, 7))[0]
    shares = [slice(rank * 7 // processes, (rank + 1) * 7 // processes) for rank in range(processes)]
    parts = [sampler.request(5, share)[0] for share in shares]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_order_depends_on_seed_and_pass_alone() -> None:
    assert np.array_equal(permutation(100, 1, 2), permutation(100, 1, 2))
    assert not np.array_equal(permutation(100, 1, 2), permutation(100, 1, 3))
    assert not np.array_equal(permutation(100, 1, 2), permutation(100, 2, 2))


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_evaluation_shows_every_sample_once(processes: int) -> None:
    seen = [
        index
        for rank in range(processes)
        for batch, passes in evaluation_requests(29, 4, rank, processes)
        for index in batch
        if (passes == 0).all()
    ]
    assert sorted(seen) == list(range(29))
