"""What users hear of exporters."""

import logging
import warnings

import pytest

from imclass.inference.exports.quiet import TALKATIVE, notes_for_developers_left_out


def test_notes_for_developers_are_not_heard_and_problems_are(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with notes_for_developers_left_out():
            warnings.warn("will be removed", FutureWarning, stacklevel=1)
            warnings.warn("is deprecated", DeprecationWarning, stacklevel=1)
            warnings.warn("something is wrong", UserWarning, stacklevel=1)
            logging.getLogger(TALKATIVE).warning("torchvision is not installed")
            logging.getLogger(TALKATIVE).error("cannot go on")
    assert [str(one.message) for one in heard] == ["something is wrong"]
    assert caplog.messages == ["cannot go on"]
    with pytest.warns(FutureWarning):
        warnings.warn("afterwards too", FutureWarning, stacklevel=1)
