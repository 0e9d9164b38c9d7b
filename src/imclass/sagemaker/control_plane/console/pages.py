"""The pages of the console, each from what operations tell at the moment when it is asked for."""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from imclass.sagemaker.control_plane.console import rendering
from imclass.sagemaker.control_plane.console.access import Access, RefusedError
from imclass.sagemaker.control_plane.console.calls import Calls
from imclass.sagemaker.control_plane.console.curves import CurveReader
from imclass.sagemaker.control_plane.console.log_tail import Lines, read_after, read_tail
from imclass.sagemaker.control_plane.console.rendering import Frame, address
from imclass.sagemaker.control_plane.console.s3_pages import bucket_content
from imclass.sagemaker.control_plane.console.sections import (
    ENDPOINTS,
    STILL_CHANGING,
    TRAINING,
    TUNING,
    Section,
    alive_count,
    listed,
    seconds,
    statuses,
)
from imclass.sagemaker.control_plane.console.streams import file_of, latest, streams_of
from imclass.sagemaker.control_plane.console.training_pages import training_content
from imclass.sagemaker.control_plane.console.tuning_pages import tuning_content
from imclass.sagemaker.control_plane.operations.plane import Plane, Values
from imclass.sagemaker.s3.store import Store

OVERVIEW_ROWS = 5
LIST_SECONDS = 4.0
THING_SECONDS = 2.0
TEMPLATES = {TRAINING.path: "training_job.html", TUNING.path: "tuning_job.html", ENDPOINTS.path: "endpoint.html"}
"""Of sections that have more to show than a description."""


class Pages:
    """Answers requests of people who may see the answers; its methods block.

    Args:
        sections: those that the server offers.
        store: of S3; None when the objects are elsewhere.
        can_try: whether pictures can be sent to endpoints.
    """

    def __init__(
        self,
        plane: Plane,
        calls: Calls,
        sections: tuple[Section, ...],
        access: Access,
        store: Store | None,
        *,
        can_try: bool,
    ) -> None:
        self._plane = plane
        self._calls = calls
        self._store = store
        self._can_try = can_try
        self._curves = CurveReader()
        self._frame = Frame(sections, access.proof, store is not None, access.needs_token)

    def overview(self, request: Request) -> Response:
        parts = [
            (section, listed(self._calls, section, {}, OVERVIEW_ROWS).rows, alive_count(self._calls, section))
            for section in self._frame.sections
        ]
        return self._page("overview.html", title="Overview", refresh_seconds=LIST_SECONDS, parts=parts)

    def many(self, section: Section, request: Request) -> Response:
        """A list."""
        query = request.query_params
        status, contains = query.get("status", ""), query.get("contains", "").strip()
        wanted = {"StatusEquals": status, "NameContains": contains, "NextToken": query.get("next", "")}
        found = listed(self._calls, section, wanted)
        following = found.next_token and address(section.path, status=status, contains=contains, next=found.next_token)
        return self._page(
            "many.html",
            title=section.title,
            refresh_seconds=LIST_SECONDS,
            section=section,
            rows=found.rows,
            following=following,
            statuses=statuses(section),
            status=status,
            contains=contains,
        )

    def one(self, section: Section, request: Request) -> Response:
        """All about one thing."""
        name = request.path_params["name"]
        description = section.described(self._calls, name)
        status = description[section.status] if section.status else ""
        streams = streams_of(self._plane.logs, section, name, seconds(description["CreationTime"]))
        stream = request.query_params.get("stream") or latest(streams)
        file = file_of(self._plane.logs, section, name, stream) if stream else None
        action = section.action
        is_open = action is not None and (not action.statuses or status in action.statuses)
        return self._page(
            TEMPLATES.get(section.path, "one.html"),
            title=name,
            refresh_seconds=THING_SECONDS if status in (*STILL_CHANGING, section.alive) else None,
            section=section,
            name=name,
            status=status,
            description=description,
            action=action if is_open and action is not None and self._calls.offers(action.operation) else None,
            streams=streams,
            stream=stream,
            log=None if file is None else read_tail(file),
            **self._extra(section, description),
        )

    def _extra(self, section: Section, description: Values) -> dict[str, Any]:
        """What the template of a section names beside what all things have."""
        if section is TRAINING:
            return training_content(self._plane.logs, self._curves, description)
        if section is TUNING:
            return tuning_content(self._calls, description)
        if section is ENDPOINTS:
            config = description["EndpointConfigName"]
            offered = self._calls.offers("DescribeEndpointConfig")
            return {
                "config": self._calls("DescribeEndpointConfig", EndpointConfigName=config) if offered else None,
                "can_try": self._can_try and description["EndpointStatus"] in ("InService", "Updating"),
            }
        return {}

    def log(self, section: Section, request: Request) -> Response:
        """Lines of a log behind a place, for the script."""
        name, query = request.path_params["name"], request.query_params
        file = file_of(self._plane.logs, section, name, query.get("stream", "")) if section.log_group else None
        if file is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such log.")
        after = query.get("after", "")
        try:
            lines = read_after(file, int(after)) if after else read_tail(file)
        except ValueError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"after: {error}") from error
        return JSONResponse(_as_json(lines), headers={"Cache-Control": "no-store"})

    def act(self, section: Section, request: Request) -> Response:
        """Do what can be done to a thing, and show it again."""
        name, action = request.path_params["name"], section.action
        if action is None or not self._calls.offers(action.operation):
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is nothing that could be done.")
        self._calls(action.operation, **{section.name: name})
        return RedirectResponse(address(section.path, name), HTTPStatus.SEE_OTHER)

    def buckets(self, request: Request) -> Response:
        assert self._store is not None
        return self._page("buckets.html", title="S3", buckets=self._store.buckets())

    def bucket(self, request: Request) -> Response:
        """What is in a bucket, below a prefix."""
        assert self._store is not None
        bucket, query = request.path_params["bucket"], request.query_params
        content = bucket_content(self._store, bucket, query.get("prefix", ""), query.get("after", ""))
        return self._page("bucket.html", title=f"s3://{bucket}/{content['prefix']}", **content)

    def sign_in(self, wanted: str, status: int, problem: str = "") -> Response:
        """Where people type the token.

        Args:
            wanted: the address that they wanted to see.
        """
        return self._page("sign_in.html", title="Sign in", http_status=status, wanted=wanted, problem=problem)

    def problem(self, status: int, message: str) -> Response:
        """What went wrong."""
        title = HTTPStatus(status).phrase
        return self._page("problem.html", title=title, http_status=status, message=message)

    def _page(self, template: str, **content: Any) -> Response:
        return rendering.page(template, self._frame, **content)


def _as_json(lines: Lines) -> dict[str, object]:
    return {
        "lines": [[event.timestamp, event.message] for event in lines.events],
        "after": lines.after,
        "isCut": lines.is_cut,
    }
