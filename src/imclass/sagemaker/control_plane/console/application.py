"""The console as an ASGI application.

::

    GET  /                                  overview; only for browsers, whoever else asks is answered by S3
    GET  /_console/SECTION                  a list, such as training-jobs
    GET  /_console/SECTION/NAME             one of them
    GET  /_console/SECTION/NAME/log         lines of its log, as JSON
    POST /_console/SECTION/NAME/act         stops or deletes it
    POST /_console/endpoints/NAME/try       InvokeEndpoint
    GET  /_console/s3[/BUCKET[/KEY]]        S3: buckets, prefixes, objects
    GET, POST /_console/sign-in             where a token is needed
    POST /_console/sign-out
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.console.access import (
    COOKIE,
    PROOF_FIELD,
    PROOF_HEADER,
    SESSION_SECONDS,
    Access,
    RefusedError,
)
from imclass.sagemaker.control_plane.console.calls import SERVICE, Calls
from imclass.sagemaker.control_plane.console.pages import Pages
from imclass.sagemaker.control_plane.console.passing_on import SANDBOX, PassedOn, attachment
from imclass.sagemaker.control_plane.console.rendering import ASSETS, NO_FRAME, PREFIX, address, asset, page
from imclass.sagemaker.control_plane.console.sections import SECTIONS, Section
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.requests import bucket_in_host
from imclass.sagemaker.s3.store import Store

LARGEST_FORM = 8 << 10
SIGN_IN = f"{PREFIX}/sign-in"
"""The only page that is shown to whoever has not given the token."""


@dataclass(frozen=True)
class Inside:
    """Applications of this process that answer in the name of a visitor, who needs no signature for that.

    Attributes:
        objects: of S3, over `store`; both None when the objects are elsewhere.
        runtime: of endpoints, for `/endpoints/NAME/invocations`; None without endpoints.
    """

    store: Store | None = None
    objects: ASGIApp | None = None
    runtime: ASGIApp | None = None


class Console:
    """The ASGI application of the console, for requests that `is_for_console`.

    Args:
        operations: those that the server offers, by service and name.
    """

    def __init__(
        self, plane: Plane, operations: Mapping[str, Mapping[str, Operation]], access: Access, inside: Inside
    ) -> None:
        calls = Calls(plane, operations[SERVICE])
        sections = tuple(section for section in SECTIONS if section.is_offered(calls))
        self._access = access
        self._inside = inside
        self._pages = Pages(plane, calls, sections, access, inside.store, can_try=inside.runtime is not None)
        self._application = Starlette(
            routes=[
                Route("/", self._pages.overview),
                Route(PREFIX, _to_overview),
                Route(f"{PREFIX}/", _to_overview),
                Route(SIGN_IN, self._sign_in, methods=["GET", "POST"]),
                Route(f"{PREFIX}/sign-out", self._sign_out, methods=["POST"]),
                *(Route(f"{PREFIX}/{name}", partial(_asset, name)) for name in ASSETS),
                *(route for section in sections for route in self._routes_of(section)),
                *self._routes_of_inside(),
            ],
            exception_handlers={
                RefusedError: self._refused,
                ApiError: self._refused,
                S3Error: self._refused,
                HTTPException: self._refused,
                Exception: self._failed,
            },
        )

    def _routes_of(self, section: Section) -> list[Route]:
        many, one = f"{PREFIX}/{section.path}", f"{PREFIX}/{section.path}/{{name}}"
        return [
            Route(many, partial(self._pages.many, section)),
            Route(one, partial(self._pages.one, section)),
            Route(f"{one}/log", partial(self._pages.log, section)),
            Route(f"{one}/act", partial(self._pages.act, section), methods=["POST"]),
        ]

    def _routes_of_inside(self) -> list[Route]:
        routes = []
        if self._inside.runtime is not None:
            routes.append(Route(f"{PREFIX}/endpoints/{{name}}/try", self._try, methods=["POST"]))
        if self._inside.store is not None:
            routes += [
                Route(f"{PREFIX}/s3", self._pages.buckets),
                Route(f"{PREFIX}/s3/{{bucket}}", self._pages.bucket),
                Route(f"{PREFIX}/s3/{{bucket}}/{{key:path}}", self._object),
            ]
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._stopped(request)
        except RefusedError as error:
            response = self._refused(request, error)
        if response is None:
            await self._application(scope, receive, send)
        else:
            await response(scope, receive, send)

    async def _stopped(self, request: Request) -> Response | None:
        """What is answered to a request instead of what it asks for; None if it may go on.

        Raises:
            RefusedError: it is not this visitor's to make.
        """
        self._access.check_host(request.headers.get("host", ""))
        is_asset = request.url.path.removeprefix(f"{PREFIX}/") in ASSETS
        if is_asset or request.url.path == SIGN_IN:
            return None
        if not self._access.knows(request.cookies.get(COOKIE)):
            if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
                raise RefusedError(HTTPStatus.UNAUTHORIZED, "Sign in first.")
            return self._pages.sign_in(request.url.path, HTTPStatus.UNAUTHORIZED)
        if request.method not in ("GET", "HEAD"):
            proof = request.headers.get(PROOF_HEADER) or (await read_form(request)).get(PROOF_FIELD, "")
            self._access.check_action(request.headers, proof)
        return None

    async def _sign_in(self, request: Request) -> Response:
        if request.method == "GET" or not self._access.needs_token:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        form = await read_form(request)
        self._access.check_action(request.headers, form.get(PROOF_FIELD, ""))
        wanted = form.get("next", "/")
        if not self._access.accepts(form.get("token", "").strip()):
            return self._pages.sign_in(wanted, HTTPStatus.FORBIDDEN, problem="This is not the token of this console.")
        response = RedirectResponse(wanted if wanted.startswith(f"{PREFIX}/") else "/", HTTPStatus.SEE_OTHER)
        response.set_cookie(
            COOKIE,
            self._access.new_session(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    async def _try(self, request: Request) -> Response:
        """Ask an endpoint."""
        assert self._inside.runtime is not None
        name = request.path_params["name"]
        return PassedOn(self._inside.runtime, f"/endpoints/{name}/invocations", {"Cache-Control": "no-store"})

    async def _object(self, request: Request) -> Response:
        """The content of an object."""
        assert self._inside.objects is not None
        bucket, key = request.path_params["bucket"], request.path_params["key"]
        if not key:
            return RedirectResponse(address("s3", bucket), HTTPStatus.SEE_OTHER)
        saved = attachment(key.rstrip("/").rpartition("/")[2]) if "download" in request.query_params else {}
        return PassedOn(self._inside.objects, f"/{bucket}/{key}", {**SANDBOX, **saved, "Cache-Control": "no-store"})

    def _refused(self, request: Request, error: Exception) -> Response:
        """An answer to a request that cannot be done: a page, or JSON for the script."""
        assert isinstance(error, RefusedError | ApiError | S3Error | HTTPException)
        status = error.status_code if isinstance(error, HTTPException) else error.status
        message = error.detail if isinstance(error, HTTPException) else error.message
        if "text/html" in request.headers.get("accept", ""):
            return self._pages.problem(status, message)
        return JSONResponse({"error": message}, status)

    def _failed(self, request: Request, error: Exception) -> Response:
        """After a fault of ours, which the server then logs."""
        return self._pages.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server has failed; its log tells why.")


class ClosedConsole:
    """Stands where the console would be on a server whose requests must be signed, until it has a token."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = page("closed.html", NO_FRAME, title="No console", http_status=HTTPStatus.FORBIDDEN)
        if Request(scope).url.path.removeprefix(f"{PREFIX}/") in ASSETS:
            response = asset(scope["path"].removeprefix(f"{PREFIX}/"))
        await response(scope, receive, send)


def is_for_console(scope: Scope) -> bool:
    """Whether a request is for the console: at its addresses, or of a browser that opens `/`."""
    request = Request(scope)
    path, headers = scope["path"], request.headers
    if bucket_in_host(headers.get("host", "")):
        return False
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        return True
    return (
        path == "/"
        and scope["method"] in ("GET", "HEAD")
        and "text/html" in headers.get("accept", "")
        and "authorization" not in headers
        and not any(name.lower().startswith("x-amz-") for name in (*headers, *request.query_params))
    )


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form.

    Raises:
        RefusedError: it is no form, or a large one.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The form has more than {LARGEST_FORM} bytes.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The form is not UTF-8.") from error


def _to_overview(request: Request) -> Response:
    return RedirectResponse("/", HTTPStatus.SEE_OTHER)


def _asset(name: str, request: Request) -> Response:
    return asset(name)
