"""Who may use the console."""

import time

import pytest

from imclass.sagemaker.control_plane.console import access as access_module
from imclass.sagemaker.control_plane.console.access import Access, RefusedError, is_local, is_same_origin

TOKEN = "a token that nobody guesses"


def test_a_session_is_for_those_who_knew_the_token() -> None:
    access = Access(TOKEN)
    assert access.accepts(TOKEN)
    assert not access.accepts(TOKEN[:-1])
    session = access.new_session()
    assert access.knows(session)
    assert Access(TOKEN).knows(session), "the server may be started anew"
    assert not Access("another token, as long").knows(session)


@pytest.mark.parametrize("cookie", [None, "", ".", "99999999999.", "99999999999.00", "x.y", "é.é"])
def test_what_is_no_session_is_not_taken_for_one(cookie: str | None) -> None:
    assert not Access(TOKEN).knows(cookie)


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access(TOKEN)
    session = access.new_session()
    later = time.time() + access_module.SESSION_SECONDS + 1
    monkeypatch.setattr(access_module.time, "time", lambda: later)
    assert not access.knows(session)


def test_the_end_of_a_session_is_signed() -> None:
    access = Access(TOKEN)
    expires, _, signature = access.new_session().partition(".")
    assert not access.knows(f"{int(expires) + 1}.{signature}")


def test_without_a_token_everybody_is_known_and_nothing_is_the_token() -> None:
    access = Access()
    assert access.knows(None)
    assert not access.accepts("")


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("localhost:4566", True),
        ("127.0.0.1:4566", True),
        ("[::1]:4566", True),
        ("example.org:4566", False),
        ("localhost.example.org", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_names_of_the_outside_are_no_names_of_this_machine(host: str, is_here: bool) -> None:
    assert is_local(host) == is_here
    if is_here:
        Access().check_host(host)
    else:
        with pytest.raises(RefusedError, match="only at localhost"):
            Access().check_host(host)
    Access(TOKEN).check_host(host)


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://a:1", "host": "a:1"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://10.0.0.1:4566", "host": "10.0.0.1:4566"}, True),
        ({"origin": "https://10.0.0.1", "host": "10.0.0.1"}, True),
        ({"origin": "http://10.0.0.1:80", "host": "10.0.0.1:4566"}, False),
        ({"origin": "null", "host": "10.0.0.1:4566"}, False),
        ({"host": "10.0.0.1:4566"}, False),
        ({}, False),
    ],
)
def test_only_own_pages_are_of_the_same_origin(headers: dict[str, str], is_own: bool) -> None:
    assert is_same_origin(headers) == is_own


def test_an_action_needs_the_proof_of_this_process() -> None:
    access = Access()
    own = {"sec-fetch-site": "same-origin"}
    access.check_action(own, access.proof)
    for wrong in ("", Access().proof):
        with pytest.raises(RefusedError, match="before the server's last start"):
            access.check_action(own, wrong)
    with pytest.raises(RefusedError, match="another site"):
        access.check_action({"sec-fetch-site": "cross-site"}, access.proof)
