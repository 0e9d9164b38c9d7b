"""Models come and go while the server runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import torch

from imclass.inference.serving.admin import create_admin_application
from imclass.inference.serving.opening import Computing, Opener
from tests.inference.serving.parts import JPEG, Workbench, encoded, running, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def both(workbench: Workbench) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of an application and of its administration."""
    parts = workbench.parts()
    opener = Opener(Computing(torch.device("cpu")), parts.decoder, parts.limits, parts.metrics)
    transport = httpx.ASGITransport(create_admin_application(parts.models, opener))
    async with running(parts) as client, httpx.AsyncClient(transport=transport, base_url="http://admin") as admin:
        await until(lambda: parts.models.are_healthy)
        workbench.backend.forget_warm_up()
        yield client, admin


async def test_a_model_comes_and_goes(workbench: Workbench, save_model: Callable[..., Path]) -> None:
    path = str(save_model())
    async with both(workbench) as (client, admin):
        added = await admin.post("/models", json={"name": "new", "path": path})
        assert (added.status_code, added.json()) == (201, {"name": "new", "path": path})
        assert [model["name"] for model in (await client.get("/models")).json()["models"]] == ["model", "new"]
        answer = await client.post("/models/new/invocations", content=encoded(), headers=JPEG)
        assert len(answer.json()) == 3
        again = await admin.post("/models", json={"name": "new", "path": path})
        assert again.status_code == 409
        assert (await admin.delete("/models/new")).status_code == 204
        assert (await client.post("/models/new/invocations", content=encoded(), headers=JPEG)).status_code == 404
        assert (await admin.delete("/models/new")).status_code == 404
        assert 'imclass_queue_images{model="new"}' not in (await client.get("/metrics")).text
        assert (await client.post("/invocations", content=encoded(), headers=JPEG)).status_code == 200


async def test_what_is_accepted_is_answered_before_a_model_goes(workbench: Workbench) -> None:
    async with both(workbench) as (client, admin):
        workbench.backend.may_go_on.clear()
        waiting = asyncio.create_task(client.post("/invocations", content=encoded(), headers=JPEG))
        await until(workbench.backend.has_begun.is_set)
        removing = asyncio.create_task(admin.delete("/models/model"))
        await asyncio.sleep(0.05)
        assert not removing.done()
        workbench.backend.may_go_on.set()
        assert (await waiting).status_code == 200
        assert (await removing).status_code == 204
        assert workbench.backend.is_closed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "has not name and path alone"),
        (b'{"name": "a"}', "has not name and path alone"),
        (b'{"name": "a", "path": 3}', "are not strings"),
        (b'{"name": "../a", "path": "x"}', "cannot be the name of a model"),
        (b'{"name": "a", "path": "/no/such/model.tar.gz"}', "/no/such/model.tar.gz"),
    ],
)
async def test_what_cannot_be_added(workbench: Workbench, content: bytes, said: str) -> None:
    async with both(workbench) as (client, admin):
        response = await admin.post("/models", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 400
        assert said in response.json()["error"]
        assert (await client.get("/ping")).status_code == 200


async def test_what_a_web_page_can_send_unasked_is_refused(workbench: Workbench) -> None:
    async with both(workbench) as (_, admin):
        response = await admin.post("/models", content=b"{}", headers={"content-type": "text/plain"})
        assert response.status_code == 415
        large = await admin.post("/models", content=bytes(1 << 17), headers={"content-type": "application/json"})
        assert large.status_code == 413
