"""Requests that pages of other sites make a browser send."""

import pytest

from imclass.sagemaker.control_plane.other_sites import is_of_another_site

HOST = {"host": "127.0.0.1:4566"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_programs_do_everything(method: str) -> None:
    assert not is_of_another_site(method, HOST)
    assert not is_of_another_site(method, {"host": "plane.example:4566"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "https://other.example"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8000"},
        {"origin": "https://other.example"},
        {"origin": "null"},
    ],
)
def test_another_site_changes_nothing(method: str, headers: dict[str, str]) -> None:
    assert is_of_another_site(method, HOST | headers)
    assert not is_of_another_site("GET", HOST | headers)


def test_pages_of_ours_may() -> None:
    assert not is_of_another_site("POST", HOST | {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:4566"})
    assert not is_of_another_site("POST", HOST | {"origin": "http://127.0.0.1:4566"})


@pytest.mark.parametrize("host", ["localhost:4566", "bucket.localhost:4566", "[::1]:4566"])
def test_names_of_this_machine_are_ours(host: str) -> None:
    assert not is_of_another_site("GET", {"host": host, "sec-fetch-site": "none"})


def test_a_name_of_the_outside_that_leads_here_is_not_ours() -> None:
    headers = {"host": "other.example:4566", "sec-fetch-site": "same-origin", "origin": "http://other.example:4566"}
    assert is_of_another_site("GET", headers)
    assert is_of_another_site("POST", headers)
