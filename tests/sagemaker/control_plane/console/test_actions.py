"""What changes something, and who may do it."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from imclass.sagemaker.control_plane.console.access import COOKIE, Access
from imclass.sagemaker.control_plane.console.application import ClosedConsole
from imclass.sagemaker.control_plane.operations.training_jobs import OPERATIONS
from tests.sagemaker.control_plane.console.answers import ENDPOINTS
from tests.sagemaker.control_plane.console.parts import BROWSER, ORIGIN, House, Visitor

TOKEN = "a token that nobody guesses"
JOB = "/_console/training-jobs/job"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.add_job("job")
    return made


def test_a_job_is_stopped(house: House) -> None:
    visitor = house.console()
    response = visitor.submit(f"{JOB}/act", {"proof": visitor.proof(JOB)})
    assert (response.status_code, response.headers["location"]) == (HTTPStatus.SEE_OTHER, JOB)
    assert house.runs.stopped == ["job"]
    assert "Stopping" in visitor.see(JOB)
    assert "Stop job" not in visitor.see(JOB), "it is being stopped already"


@pytest.mark.parametrize(
    ("headers", "has_proof"),
    [
        ({}, False),
        ({"sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "none"}, True),
    ],
)
def test_other_sites_stop_nothing(house: House, headers: dict[str, str], has_proof: bool) -> None:
    visitor = house.console()
    proof = visitor.proof(JOB) if has_proof else ""
    assert visitor.submit(f"{JOB}/act", {"proof": proof}, **headers).status_code == HTTPStatus.FORBIDDEN
    assert house.runs.stopped == []


def test_browsers_without_fetch_metadata_tell_the_origin(house: House) -> None:
    visitor = house.console()
    data = {"proof": visitor.proof(JOB)}
    for origin in ("http://evil.example", "null", ""):
        refused = visitor.ask("POST", f"{JOB}/act", {"accept": "text/html", "origin": origin}, data=data)
        assert refused.status_code == HTTPStatus.FORBIDDEN
    assert house.runs.stopped == []
    done = visitor.ask("POST", f"{JOB}/act", {"accept": "text/html", "origin": ORIGIN}, data=data)
    assert done.status_code == HTTPStatus.SEE_OTHER


def test_names_of_the_outside_show_nothing_without_a_token(house: House) -> None:
    headers = {**BROWSER, "host": "rebound.example:4566"}
    response = house.console().ask("GET", JOB, headers)
    assert response.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert "mini_batch_size" not in response.text


def test_what_has_ended_cannot_be_stopped(house: House) -> None:
    house.add_job("done", "Completed")
    visitor = house.console()
    assert "Stop done" not in visitor.see("/_console/training-jobs/done")
    response = visitor.submit("/_console/training-jobs/done/act", {"proof": visitor.proof(JOB)})
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert "is in status Completed" in response.text


def test_a_form_is_small(house: House) -> None:
    visitor = house.console()
    assert visitor.submit(f"{JOB}/act", {"proof": "x" * 10_000}).status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_an_endpoint_is_deleted(house: House) -> None:
    visitor = house.console({**OPERATIONS, **ENDPOINTS})
    path = "/_console/endpoints/birds"
    assert visitor.submit(f"{path}/act", {"proof": visitor.proof(path)}).status_code == HTTPStatus.SEE_OTHER
    assert house.runs.stopped == ["endpoint birds"]


# ------------------------------------------------------------------------------------------------------- try it


async def runtime(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it was asked."""
    request = Request(scope, receive)
    told = {
        "path": request.url.path,
        "kind": request.headers["content-type"],
        "variant": request.headers.get("x-amzn-sagemaker-target-variant"),
        "body": (await request.body()).decode("latin-1"),
    }
    headers = {"x-Amzn-Invoked-Production-Variant": "blue"}
    await JSONResponse(told, headers=headers)(scope, receive, send)


def test_a_picture_goes_to_the_endpoint_as_it_is(house: House) -> None:
    visitor = house.console({**OPERATIONS, **ENDPOINTS}, runtime=runtime)
    page = "/_console/endpoints/birds"
    assert "Choose a picture" in visitor.see(page)
    headers = {
        "accept": "application/json;verbose",
        "sec-fetch-site": "same-origin",
        "content-type": "application/x-image",
        "x-amzn-sagemaker-target-variant": "green",
        "x-console-proof": visitor.proof(page),
    }
    response = visitor.ask("POST", f"{page}/try", headers, content=b"\xff\xd8 picture")
    assert response.json() == {
        "path": "/endpoints/birds/invocations",
        "kind": "application/x-image",
        "variant": "green",
        "body": "\xff\xd8 picture",
    }
    assert response.headers["x-amzn-invoked-production-variant"] == "blue"
    for changed in ({"x-console-proof": "wrong"}, {"sec-fetch-site": "cross-site"}):
        refused = visitor.ask("POST", f"{page}/try", {**headers, **changed}, content=b"picture")
        assert refused.status_code == HTTPStatus.FORBIDDEN
        assert "error" in refused.json()


# ------------------------------------------------------------------------------------------------------ the token


def signed_in(house: House, **parts: Any) -> Visitor:
    visitor = house.console(access=Access(TOKEN), **parts)
    response = visitor.submit("/_console/sign-in", {"proof": _proof(visitor, JOB), "token": TOKEN, "next": JOB})
    assert (response.status_code, response.headers["location"]) == (HTTPStatus.SEE_OTHER, JOB)
    return visitor


def _proof(visitor: Visitor, path: str) -> str:
    response = visitor.ask("GET", path)
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    return response.text.split('name="proof" value="')[1].split('"')[0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", JOB),
        ("GET", f"{JOB}/log?stream=x"),
        ("GET", "/_console/s3/bucket/key"),
        ("POST", f"{JOB}/act"),
        ("POST", "/_console/endpoints/x/try"),
        ("POST", "/_console/sign-out"),
        ("GET", "/_console/nothing"),
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_without_the_token_nothing_is_shown_or_done(house: House, method: str, path: str, accept: str) -> None:
    visitor = house.console(access=Access(TOKEN))
    headers = {"accept": accept, "sec-fetch-site": "same-origin"}
    response = visitor.ask(method, path, headers)
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert "mini_batch_size" not in response.text
    assert house.runs.stopped == []


def test_with_the_token_everything_is(house: House) -> None:
    visitor = signed_in(house)
    assert "mini_batch_size" in visitor.see(JOB)
    assert visitor.submit(f"{JOB}/act", {"proof": visitor.proof(JOB)}).status_code == HTTPStatus.SEE_OTHER
    assert house.runs.stopped == ["job"]
    visitor.submit("/_console/sign-out", {"proof": visitor.proof(JOB)})
    assert visitor.ask("GET", JOB).status_code == HTTPStatus.UNAUTHORIZED


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(house: House) -> None:
    visitor = house.console(access=Access(TOKEN))
    response = visitor.submit("/_console/sign-in", {"proof": _proof(visitor, "/"), "token": f" {TOKEN}\n"})
    cookie = response.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize(
    "following", ["https://evil.example/", "//evil.example", "/\\evil.example", "/bucket/page.html"]
)
def test_a_sign_in_leads_to_the_console_only(house: House, following: str) -> None:
    visitor = house.console(access=Access(TOKEN))
    form = {"proof": _proof(visitor, "/"), "token": TOKEN, "next": following}
    assert visitor.submit("/_console/sign-in", form).headers["location"] == "/"


def test_a_wrong_token_is_refused(house: House) -> None:
    visitor = house.console(access=Access(TOKEN))
    response = visitor.submit("/_console/sign-in", {"proof": _proof(visitor, "/"), "token": "wrong"})
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert "This is not the token of this console." in response.text
    assert "set-cookie" not in response.headers


def test_a_server_that_wants_signatures_and_has_no_token_has_no_console() -> None:
    visitor = Visitor(ClosedConsole())
    for path in ("/", "/_console/training-jobs"):
        response = visitor.ask("GET", path)
        assert response.status_code == HTTPStatus.FORBIDDEN
        assert "--console-token-file" in response.text
    assert visitor.ask("GET", "/_console/console.css").status_code == HTTPStatus.OK


def test_errors_are_json_for_scripts(house: House) -> None:
    response = house.console().ask("GET", "/_console/training-jobs/none", {"accept": "application/json"})
    assert json.loads(response.text) == {"error": "Requested resource not found."}
