"""The application in process: routes, answers and errors."""

import asyncio
import base64
import threading
from http import HTTPStatus
from typing import Any

import httpx
import numpy as np
import pytest
from openapi_spec_validator import validate

from imclass.inference.serving.limits import Limits
from imclass.inference.serving.service import Batching
from tests.inference.serving.parts import JPEG, ExampleBackend, Workbench, description, encoded, running, until

pytestmark = pytest.mark.anyio

ARRAY = b"[0.6257858276367188, 0.37421420216560364]"


def error_of(response: httpx.Response) -> str:
    content = response.json()
    assert response.headers["content-type"] == "application/json"
    assert content.keys() == {"status", "error"}
    assert content["status"] == response.status_code
    return str(content["error"])


@pytest.mark.parametrize(
    ("headers", "content_type", "body"),
    [
        ({}, "application/json", ARRAY),
        ({"accept": "*/*"}, "application/json", ARRAY),
        ({"accept": "application/json"}, "application/json", ARRAY),
        ({"accept": "application/jsonlines"}, "application/jsonlines", b'{"prediction": ' + ARRAY + b"}\n"),
        (
            {"accept": "application/json;verbose"},
            "application/json",
            b'{"probabilities": ' + ARRAY + b', "labels": ["cat", "dog"], "predicted_label": "cat"}',
        ),
    ],
)
async def test_answers_byte_for_byte(
    workbench: Workbench, headers: dict[str, str], content_type: str, body: bytes
) -> None:
    async with workbench.client() as client:
        if "accept" not in headers:
            del client.headers["accept"]
        response = await client.post("/invocations", content=encoded(), headers=JPEG | headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert response.content == body


async def test_batch_transform_answers_with_objects(workbench: Workbench) -> None:
    async with workbench.client(batch_transform=True) as client:
        response = await client.post("/invocations", content=encoded(), headers=JPEG)
    assert response.content == b'{"prediction": ' + ARRAY + b"}"


@pytest.mark.parametrize(
    ("content_type", "suffix"),
    [
        ("image/jpeg", ".jpg"),
        ("image/png", ".png"),
        ("image/png", ".jpg"),
        ("application/x-image", ".jpg"),
        ("Application/X-Image; charset=utf-8", ".png"),
    ],
)
async def test_formats_are_sniffed(workbench: Workbench, content_type: str, suffix: str) -> None:
    async with workbench.client() as client:
        response = await client.post(
            "/invocations", content=encoded(suffix=suffix), headers={"content-type": content_type}
        )
    assert response.content == ARRAY


async def test_several_images_as_json_and_as_a_form(workbench: Workbench) -> None:
    images = [encoded(seed) for seed in range(3)]
    async with workbench.client() as client:
        as_json = await client.post(
            "/invocations", json={"images": [base64.b64encode(image).decode() for image in images]}
        )
        as_form = await client.post("/invocations", files=[("file", ("a.jpg", image)) for image in images])
        one = await client.post("/invocations", json={"image": base64.b64encode(images[0]).decode()})
    assert as_json.content == as_form.content == b"[" + b", ".join([ARRAY] * 3) + b"]"
    assert one.content == ARRAY


async def test_all_bad_images_of_a_request_are_named(workbench: Workbench) -> None:
    files = [("f", ("a", data)) for data in (encoded(), b"text", encoded(), encoded(suffix=".png")[:40])]
    async with workbench.client() as client:
        response = await client.post("/invocations", files=files)
    assert response.status_code == 400
    message = error_of(response)
    assert "2 of 4 images cannot be read" in message
    assert "images[1]: neither JPEG nor PNG" in message
    assert "images[3]: the PNG is truncated" in message
    assert workbench.backend.batches == []


async def refused(workbench: Workbench, body: bytes, headers: dict[str, str] = JPEG) -> httpx.Response:
    """The answer to a request; one that is well comes after it and must be answered."""
    async with workbench.client() as client:
        response = await client.post("/invocations", content=body, headers=headers)
        assert (await client.post("/invocations", content=encoded(), headers=JPEG)).content == ARRAY
    return response


@pytest.mark.parametrize("body", [b"", b"no image", encoded()[:200], encoded(suffix=".png")[:-9]])
async def test_400_for_what_cannot_be_decoded(workbench: Workbench, body: bytes) -> None:
    response = await refused(workbench, body)
    assert response.status_code == 400
    assert error_of(response)


async def test_400_for_too_many_pixels_before_decoding(workbench: Workbench) -> None:
    png = bytearray(encoded(suffix=".png"))
    png[16:24] = (20_000).to_bytes(4, "big") * 2
    response = await refused(workbench, bytes(png))
    assert response.status_code == 400
    assert "20000x20000 pixels are more than the 100,000,000" in error_of(response)


async def test_the_pixel_limit_can_be_lower(workbench: Workbench) -> None:
    workbench.limits = Limits(pixels=256)
    response = await refused(workbench, encoded(side=17))
    assert response.status_code == 400
    assert "17x17 pixels are more than the 256" in error_of(response)


async def test_406(workbench: Workbench) -> None:
    response = await refused(workbench, encoded(), JPEG | {"accept": "text/csv"})
    assert response.status_code == 406
    assert "text/csv" in error_of(response)


async def test_413(workbench: Workbench) -> None:
    response = await refused(workbench, bytes(6 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert "6,291,456 bytes (6 MiB)" in error_of(response)


async def test_413_without_content_length(workbench: Workbench) -> None:
    async def chunks() -> Any:
        for _ in range(4):
            yield bytes(1000)

    workbench.limits = Limits(body_bytes=3500)
    async with workbench.client() as client:
        response = await client.post("/invocations", content=chunks(), headers=JPEG)
    assert response.status_code == 413
    assert error_of(response)


async def test_415(workbench: Workbench) -> None:
    response = await refused(workbench, encoded(), {"content-type": "text/csv"})
    assert response.status_code == 415
    assert "text/csv" in error_of(response)


async def test_408_for_a_slow_body(workbench: Workbench) -> None:
    async def chunks() -> Any:
        yield encoded()[:100]
        await asyncio.sleep(10)

    workbench.limits = Limits(body_seconds=0.1)
    async with workbench.client() as client:
        response = await client.post("/invocations", content=chunks(), headers=JPEG)
    assert response.status_code == 408
    assert response.headers["connection"] == "close"
    assert "within 0.1 seconds" in error_of(response)


async def test_503_when_the_queue_is_full(workbench: Workbench) -> None:
    workbench.batching = Batching(max_batch=2, queue_size=2)
    async with workbench.client() as client:
        workbench.backend.may_go_on.clear()
        waiting = [asyncio.create_task(client.post("/invocations", content=encoded(), headers=JPEG)) for _ in range(2)]
        await until(lambda: b'imclass_queue_images{model="model"} 2.0' in workbench.metrics.text())
        response = await client.post("/invocations", content=encoded(), headers=JPEG)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert "2 of 2 places" in error_of(response)
        workbench.backend.may_go_on.set()
        assert [(await task).status_code for task in waiting] == [200, 200]


async def test_503_when_bodies_take_too_much_memory(workbench: Workbench) -> None:
    workbench.limits = Limits(waiting_body_bytes=100)
    async with workbench.client() as client:
        response = await client.post("/invocations", content=encoded(), headers=JPEG)
    assert response.status_code == 503
    assert "waiting already" in error_of(response)


async def test_503_when_the_model_takes_too_long(workbench: Workbench) -> None:
    workbench.limits = Limits(request_seconds=0.1)
    async with workbench.client() as client:
        workbench.backend.may_go_on.clear()
        response = await client.post("/invocations", content=encoded(), headers=JPEG)
        assert response.status_code == 503
        assert "did not answer within 0.1 seconds" in error_of(response)
        await until_ping_says(client, 503)
        workbench.backend.may_go_on.set()
        await until_ping_says(client, 200)


async def until_ping_says(client: httpx.AsyncClient, status: int) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/ping")).status_code != status:
            await asyncio.sleep(0.01)


async def test_500_and_the_server_goes_on(workbench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    async with workbench.client() as client:
        workbench.backend.fault = RuntimeError("secret detail")
        response = await client.post("/invocations", content=encoded(), headers=JPEG)
        assert response.status_code == 500
        assert "secret" not in error_of(response)
        workbench.backend.fault = None
        assert (await client.post("/invocations", content=encoded(), headers=JPEG)).content == ARRAY
        assert (await client.get("/ping")).status_code == 200
        assert 'imclass_requests_total{model="model",status="500"} 1.0' in (await client.get("/metrics")).text


async def test_500_for_probabilities_that_are_no_numbers(workbench: Workbench) -> None:
    workbench.backend.answer = np.array([np.nan, 1], np.float32)
    async with workbench.client() as client:
        assert (await client.post("/invocations", content=encoded(), headers=JPEG)).status_code == 500


async def test_404_and_405(workbench: Workbench) -> None:
    async with workbench.client() as client:
        missing = await client.get("/nothing")
        wrong = await client.get("/invocations")
        unknown = await client.post("/models/owl/invocations", content=encoded(), headers=JPEG)
    assert (missing.status_code, wrong.status_code, unknown.status_code) == (404, 405, 404)
    assert "openapi" in error_of(missing)
    assert error_of(wrong) == "GET is not possible here"
    assert "POST" in wrong.headers["allow"]
    assert error_of(unknown) == "there is no model 'owl': the models are model"


async def test_ping_says_ok_only_when_warm(workbench: Workbench) -> None:
    workbench.backend.may_go_on.clear()
    parts = workbench.parts()
    async with running(parts) as client:
        cold = await client.get("/ping")
        assert cold.status_code == 503
        early = asyncio.create_task(client.post("/invocations", content=encoded(), headers=JPEG))
        await asyncio.sleep(0.05)
        assert (await client.get("/ping")).status_code == 503
        workbench.backend.may_go_on.set()
        assert (await early).content == ARRAY
        await until(lambda: parts.models.are_healthy)
        warm = await client.get("/ping")
        assert (warm.status_code, warm.content) == (200, b"")


async def test_a_model_that_does_not_work_ends_the_server(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    workbench.backend.fault = RuntimeError("no memory")
    ended = asyncio.Event()
    async with running(workbench.parts(on_fault=ended.set)) as client:
        await asyncio.wait_for(ended.wait(), 10)
        assert (await client.get("/ping")).status_code == 503
    assert "no memory" in caplog.text


async def test_execution_parameters(workbench: Workbench) -> None:
    workbench.batching = Batching(max_batch=4)
    async with workbench.client() as client:
        response = await client.get("/execution-parameters")
    assert response.content == b'{"MaxConcurrentTransforms":8,"BatchStrategy":"SINGLE_RECORD","MaxPayloadInMB":6}'


async def test_concurrent_transforms_stay_within_100_mib(workbench: Workbench) -> None:
    workbench.batching = Batching(max_batch=64)
    workbench.limits = Limits(body_bytes=30 << 20)
    async with workbench.client() as client:
        assert (await client.get("/execution-parameters")).json()["MaxConcurrentTransforms"] == 3


async def test_description(workbench: Workbench) -> None:
    async with workbench.client() as client:
        content = (await client.get("/model")).json()
        assert (await client.get("/models/model")).json() == content
        assert (await client.get("/models")).json() == {"models": [{"name": "model", "ready": True}]}
    assert content["class_names"] == ["cat", "dog"]
    assert content["image_shape"] == [3, 16, 16]
    assert content["serving"] == {
        "backend": "example",
        "precision": "float32",
        "device": "cpu",
        "max_batch": 4,
        "max_delay_ms": 5.0,
        "queue_size": 1024,
        "calibrated": False,
        "max_body_bytes": 6 * 1024 * 1024,
        "candidates": [],
    }


async def test_metrics(workbench: Workbench) -> None:
    async with workbench.client() as client:
        for body in (encoded(), b"bad", encoded()):
            await client.post("/invocations", content=body, headers=JPEG)
        response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for line in (
        'imclass_requests_total{model="model",status="200"} 2.0',
        'imclass_requests_total{model="model",status="400"} 1.0',
        'imclass_queue_images{model="model"} 0.0',
        'imclass_batch_images_sum{model="model"} 2.0',
        'imclass_seconds_count{model="model",stage="decode"} 3.0',
        'imclass_seconds_count{model="model",stage="queue"} 2.0',
        'imclass_seconds_count{model="model",stage="model"} 2.0',
        'imclass_seconds_count{model="model",stage="total"} 2.0',
    ):
        assert line in response.text.splitlines()


async def test_page(workbench: Workbench) -> None:
    async with workbench.client() as client:
        response = await client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>" in response.text


async def test_openapi_is_valid_and_names_every_route(workbench: Workbench) -> None:
    from imclass.inference.serving.application import create_application

    parts = workbench.parts()
    async with running(parts) as client:
        document = (await client.get("/openapi.json")).json()
    validate(document)
    routes = {(route.path, method.lower()) for route in create_application(parts).routes for method in route.methods}  # type: ignore[attr-defined]
    served = {(path, method) for path, method in routes if method != "head" and path != "/openapi.json"}
    described = {(path, method) for path, item in document["paths"].items() for method in item.keys() & {"get", "post"}}
    assert described == served
    statuses = document["paths"]["/invocations"]["post"]["responses"].keys()
    assert statuses == {"200", *(str(int(s)) for s in map(HTTPStatus, (400, 401, 404, 406, 408, 413, 415, 500, 503)))}


async def test_several_models(workbench: Workbench) -> None:
    other = ExampleBackend(np.array([0.25, 0.75], np.float32))
    services = [workbench.service("a"), workbench.service("b", other)]
    async with workbench.client(*services) as client:
        answers = [
            await client.post(f"/models/{name}/invocations", content=encoded(), headers=JPEG) for name in ("a", "b")
        ]
        nameless = await client.post("/invocations", content=encoded(), headers=JPEG)
        assert (await client.get("/models/b")).json()["name"] == "b"
        assert (await client.get("/model")).status_code == 404
    assert [answer.content for answer in answers] == [ARRAY, b"[0.25, 0.75]"]
    assert nameless.status_code == 404
    assert "the models are a, b" in error_of(nameless)


async def test_classes_without_names_are_numbered(workbench: Workbench) -> None:
    workbench.description = description(class_names=None)
    async with workbench.client() as client:
        response = await client.post(
            "/invocations", content=encoded(), headers=JPEG | {"accept": "application/json;verbose"}
        )
    assert response.json()["labels"] == ["0", "1"]
    assert response.json()["predicted_label"] == "0"


async def test_parts_are_closed_with_the_application(workbench: Workbench) -> None:
    before = set(threading.enumerate())
    async with workbench.client() as client:
        await client.post("/invocations", content=encoded(), headers=JPEG)
        names = {thread.name.rsplit("_", 1)[0] for thread in set(threading.enumerate()) - before}
    assert names == {"imclass-model", "imclass-decode"}
    assert workbench.backend.is_closed
    await until(lambda: set(threading.enumerate()) <= before)
