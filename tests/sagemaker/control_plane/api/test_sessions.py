"""Credentials that hold for a while: known again by the server that has made them, and by no other."""

from datetime import UTC, datetime, timedelta

import pytest

from imclass.sagemaker.control_plane.api.sessions import Sessions

SESSIONS = Sessions("secret")


def test_what_was_handed_out_is_known_again_after_a_restart() -> None:
    credentials = SESSIONS.begin(timedelta(minutes=15))
    assert Sessions("secret").find(credentials.access_key, credentials.token) == credentials
    assert timedelta(minutes=14) < credentials.expiration - datetime.now(UTC) <= timedelta(minutes=15)
    assert credentials.access_key.startswith("ASIA")
    assert len({credentials.secret_key, credentials.token, SESSIONS.begin(timedelta(minutes=15)).secret_key}) == 3


def test_expired_ones_are_known_too() -> None:
    credentials = SESSIONS.begin(timedelta(seconds=-5))
    found = SESSIONS.find(credentials.access_key, credentials.token)
    assert found is not None
    assert found.expiration < datetime.now(UTC)


def test_tokens_of_another_server_or_key_are_not() -> None:
    credentials = SESSIONS.begin(timedelta(hours=1))
    assert Sessions("another").find(credentials.access_key, credentials.token) is None
    assert SESSIONS.find("ASIAOTHER", credentials.token) is None


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 55, "_" * 56, "=" * 56, "A" * 56, f"{'A' * 56}="])
def test_what_is_no_token(token: str) -> None:
    assert SESSIONS.find("ASIAOTHER", token) is None


def test_the_end_of_a_session_cannot_be_put_off() -> None:
    credentials = SESSIONS.begin(timedelta(seconds=1))
    later = SESSIONS.begin(timedelta(days=1)).token
    assert SESSIONS.find(credentials.access_key, later[:11] + credentials.token[11:]) is None
