"""The fuzzing targets themselves: on the files that they start from, on all that once broke them, and on cut files."""

import random

import pytest

from tests.fuzz.fuzz import NAMES
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS


def test_every_target_can_be_asked_for():
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_seeds_findings_and_nothing_at_all_are_accepted_or_refused(name):
    files = [b"", *seeds(name)]
    assert len(files) > 2
    for data in files:
        TARGETS[name](data)


@pytest.mark.parametrize("name", NAMES)
def test_cut_and_changed_seeds_are_accepted_or_refused(name):
    generator = random.Random(name)
    files = seeds(name)
    for _ in range(100):
        data = bytearray(generator.choice(files)[:4096])
        for _ in range(generator.randrange(4) if data else 0):
            data[generator.randrange(len(data))] = generator.randrange(256)
        TARGETS[name](bytes(data[: generator.randrange(len(data) + 1)]))
