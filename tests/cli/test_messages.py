"""Messages and result lines."""

import logging

import pytest

from imclass.cli import messages


def test_tab_separated_fields_stay_one_line() -> None:
    assert messages.tab_separated("a\tb", "c\nd\r", "e\\t", 0.5) == "a\\tb\tc\\nd\\r\te\\\\t\t0.5"
    assert messages.tab_separated("caf\udce9") == "caf\ufffd"


def test_logged_warnings_are_shown_once_and_only_inside_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("imclass.data.test")
    with messages.warnings_on_stderr():
        log.warning("%d images are odd", 3)
        log.error("broken")
        log.info("not shown")
    assert capsys.readouterr().err == "imclass: warning: 3 images are odd\nimclass: error: broken\n"
    assert logging.getLogger("imclass").handlers == []
    assert logging.getLogger("imclass").propagate


def test_only_the_first_process_warns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    messages.warning("something")
    messages.error("something else")
    assert capsys.readouterr().err == "imclass: error (process 1): something else\n"
    monkeypatch.setenv("RANK", "0")
    messages.warning("something")
    assert capsys.readouterr().err == "imclass: warning: something\n"
