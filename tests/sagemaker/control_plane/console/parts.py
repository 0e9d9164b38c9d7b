"""A console in this process, over a state of its own and with operations that answer what a test wants."""

import asyncio
import html
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
from starlette.types import ASGIApp

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.console.access import Access
from imclass.sagemaker.control_plane.console.application import Console, Inside
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane
from imclass.sagemaker.control_plane.operations.training_jobs import OPERATIONS
from imclass.sagemaker.control_plane.store.log_files import LogFolder, LogWriter
from imclass.sagemaker.control_plane.store.state import State
from imclass.sagemaker.control_plane.training.documents import KIND, advance, new_document
from imclass.sagemaker.s3.application import S3Application
from imclass.sagemaker.s3.store import Store
from tests.sagemaker.control_plane.server import GROUP, job

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "sec-fetch-site": "none"}
ORIGIN = "http://localhost:4566"
PROOF = re.compile(r'name="proof" value="([^"]+)"')


@dataclass
class StoppedRuns:
    """Stands in for the runs of jobs, which nothing runs here.

    Attributes:
        stopped: names of jobs that were to be stopped.
    """

    stopped: list[str] = field(default_factory=list)

    def stop(self, name: str) -> None:
        self.stopped.append(name)


class House:
    """What the console looks into.

    Args:
        folder: of everything.
    """

    def __init__(self, folder: Path) -> None:
        self.state = State(folder)
        self.store = Store(folder / "s3")
        self.logs_folder = folder / "logs"
        self.runs = StoppedRuns()
        self.account = Account()

    def console(
        self,
        operations: Mapping[str, Operation] = OPERATIONS,
        access: Access | None = None,
        runtime: ASGIApp | None = None,
    ) -> "Visitor":
        """Somebody who visits a console."""
        parts = SimpleNamespace(
            account=self.account, state=self.state, logs=LogFolder(self.logs_folder), training_runs=self.runs
        )
        inside = Inside(self.store, S3Application(self.store), runtime)
        return Visitor(Console(cast(Plane, parts), {"sagemaker": operations}, access or Access(), inside))

    def add_job(self, name: str, status: str = "InProgress", **changes: Any) -> None:
        """A training job that was asked for, and what came of it."""
        arn = self.account.arn(KIND, name)
        document = new_document(job(name), arn)
        advance(document, "Training")
        self.state.add(KIND, name, arn, status, {**document, **changes}, {})

    def write_log(self, name: str, *lines: str, host: str = "algo-1") -> str:
        """Lines that a job has printed; gives the name of their stream."""
        stream = f"{name}/{host}-{int(time.time())}"
        with LogWriter(self.logs_folder / f"{GROUP.lstrip('/')}/{stream}.log") as log:
            for line in lines:
                log.write(line.encode())
        return stream


class Visitor:
    """A browser without a screen: it sends what browsers send, and keeps cookies.

    Args:
        application: of the console.
    """

    def __init__(self, application: ASGIApp) -> None:
        self.application = application
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, headers: Mapping[str, str] = BROWSER, **request: Any) -> httpx.Response:
        """Send a request."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
                response = await client.request(method, path, headers={**headers}, **request)
                self.cookies = client.cookies
                return response

        return asyncio.run(send())

    def see(self, path: str, status: int = 200) -> str:
        """The text of a page as people read it."""
        return words_of(self.page(path, status))

    def page(self, path: str, status: int = 200) -> str:
        """The HTML of a page."""
        response = self.ask("GET", path)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        return response.text

    def proof(self, path: str) -> str:
        """What the forms of a page send along."""
        found = PROOF.search(self.page(path))
        assert found is not None
        return found[1]

    def submit(self, path: str, data: Mapping[str, str], **headers: str) -> httpx.Response:
        """Send a form, as a page of this origin does unless the headers say otherwise."""
        sent = {**BROWSER, "sec-fetch-site": "same-origin", "origin": ORIGIN}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, sent, data=dict(data))


def words_of(page: str) -> str:
    """Its text, with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
