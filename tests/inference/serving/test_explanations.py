"""POST /explain: what it answers, what it refuses, and that it holds to its bounds."""

import asyncio
import base64

import cv2
import httpx
import jsonschema
import numpy as np
import pytest

from imclass.inference.serving.limits import Limits
from imclass.inference.serving.service import Batching
from tests.inference.serving.parts import EXAMPLE, JPEG, ExampleBackend, Workbench, description, encoded, until

pytestmark = pytest.mark.anyio


def error_of(response: httpx.Response) -> str:
    content = response.json()
    assert content.keys() == {"status", "error"}
    assert content["status"] == response.status_code
    return str(content["error"])


def overlay_of(content: dict) -> np.ndarray:
    head, _, data = content["activation_map"]["overlay"].partition(",")
    assert head == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)


def noise(width: int, height: int, suffix: str = ".png") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


async def explained(workbench: Workbench, body: bytes, query: str = "") -> dict:
    async with workbench.client() as client:
        response = await client.post(f"/explain{query}", content=body, headers=JPEG)
    assert response.status_code == 200, response.text
    return response.json()


async def test_an_explanation(workbench: Workbench) -> None:
    content = await explained(workbench, noise(40, 20))
    first, second = float(EXAMPLE[0]), float(EXAMPLE[1])
    assert content["model"] == "model"
    assert content["multi_label"] is False
    assert content["image"] == {"width": 40, "height": 20}
    assert content["predictions"] == [
        {"class": "cat", "index": 0, "probability": first},
        {"class": "dog", "index": 1, "probability": second},
    ]
    explanation = content["activation_map"]
    assert (explanation["class"], explanation["index"], explanation["probability"]) == ("cat", 0, first)
    assert explanation["seen"] == {"left": 12, "top": 2, "width": 16, "height": 16}
    assert np.array(explanation["cells"]).shape == (4, 4)
    assert np.max(explanation["cells"]) <= explanation["largest"]
    assert content["milliseconds"].keys() == {"decode", "model", "map", "total"}
    assert 0 < content["milliseconds"]["map"] <= content["milliseconds"]["total"]
    assert workbench.backend.batches == [1]


async def test_cells_are_those_of_the_network_as_it_was_loaded(workbench: Workbench) -> None:
    """Whatever computes the probabilities: the example backend knows no features."""
    from imclass.images import Preprocessing
    from imclass.images.plan import Size
    from imclass.inference.activation_map import explain, place
    from imclass.inference.pixels import prepare

    service = workbench.service()
    body = noise(40, 20)
    async with workbench.client(service) as client:
        content = (await client.post("/explain?class=1", content=body, headers=JPEG)).json()
    preprocessing = Preprocessing((3, 16, 16))
    network = service.model.network
    expected = explain(
        network, prepare(body, preprocessing), place(Size(40, 20), preprocessing, network.stride), class_index=1
    )
    assert content["activation_map"]["index"] == 1
    np.testing.assert_allclose(content["activation_map"]["cells"], expected.cells, rtol=1e-5)
    values = expected.on_image()
    row, column = np.unravel_index(values.argmax(), values.shape)
    if values.max() > 0:
        assert content["activation_map"]["strongest"] == {"x": column + 0.5, "y": row + 0.5}
    else:
        assert content["activation_map"]["strongest"] is None


async def test_the_overlay_has_the_shape_of_the_image_and_shows_only_what_was_seen(workbench: Workbench) -> None:
    content = await explained(workbench, noise(40, 20))
    overlay = overlay_of(content)
    assert overlay.shape == (20, 40, 4)
    assert not overlay[:, :12, 3].any()
    assert not overlay[:, 28:, 3].any()


async def test_a_class_for_which_nothing_speaks(workbench: Workbench) -> None:
    service = workbench.service()
    service.model.network.head.weight.data[0] = -1.0
    async with workbench.client(service) as client:
        content = (await client.post("/explain?class=0", content=noise(40, 20), headers=JPEG)).json()
    assert np.max(content["activation_map"]["cells"]) <= 0
    assert content["activation_map"]["strongest"] is None
    assert not overlay_of(content)[..., 3].any()


async def test_the_overlay_of_a_large_image_is_small(workbench: Workbench) -> None:
    workbench.description = description(resize=16)
    overlay = overlay_of(await explained(workbench, noise(1500, 1000, ".jpg")))
    assert overlay.shape == (267, 400, 4)


@pytest.mark.parametrize(("query", "names"), [("?top=1", ["cat"]), ("?top=2", ["cat", "dog"])])
async def test_as_many_classes_as_asked_for(workbench: Workbench, query: str, names: list[str]) -> None:
    content = await explained(workbench, encoded(), query)
    assert [each["class"] for each in content["predictions"]] == names


async def test_five_classes_of_many(workbench: Workbench) -> None:
    workbench.description = description(num_classes=9, class_names=None)
    workbench.backend = ExampleBackend(np.arange(9, dtype=np.float32) / 36)
    content = await explained(workbench, encoded())
    assert [each["class"] for each in content["predictions"]] == ["8", "7", "6", "5", "4"]
    assert content["activation_map"]["index"] == 8


async def test_multi_label_and_grey(workbench: Workbench) -> None:
    workbench.description = description(
        multi_label=True,
        image_shape=(1, 16, 16),
        normalisation={"mean": (0.0,), "std": (1.0,)},
    )
    assert (await explained(workbench, noise(40, 20)))["multi_label"] is True


async def test_one_image_as_json_or_form(workbench: Workbench) -> None:
    image = noise(40, 20)
    text = base64.b64encode(image).decode()
    async with workbench.client() as client:
        plain = (await client.post("/explain", content=image, headers=JPEG)).json()
        for sent in ({"json": {"image": text}}, {"json": {"images": [text]}}, {"files": {"a": image}}):
            content = (await client.post("/explain", **sent)).json()
            assert content["activation_map"] == plain["activation_map"]
        two = await client.post("/explain", json={"images": [text, text]})
    assert two.status_code == 413
    assert "2 images" in error_of(two)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?class=2", "class=2 is not a whole number from 0 to 1"),
        ("?class=-1", "class=-1 is not"),
        ("?class=cat", "class=cat is not"),
        ("?class=", "class= is not"),
        ("?class=00000000000000000001", "is not a whole number"),
        ("?class=²", "is not a whole number"),
        ("?top=0", "top=0 is not a whole number from 1 to 2"),
        ("?top=3", "top=3 is not"),
    ],
)
async def test_400_for_numbers_that_mean_nothing(workbench: Workbench, query: str, said: str) -> None:
    async with workbench.client() as client:
        response = await client.post(f"/explain{query}", content=encoded(), headers=JPEG)
    assert response.status_code == 400
    assert said in error_of(response)
    assert workbench.backend.batches == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"", {}, 400, "the body is empty"),
        (b"no image", {}, 400, "neither JPEG nor PNG"),
        (encoded()[:200], {}, 400, "the image cannot be read"),
        (encoded(side=65), {}, 400, "65x65 pixels are more than the 4,096"),
        (bytes(100_001), {}, 413, "larger than the 100,000 bytes"),
        (encoded(), {"content-type": "text/csv"}, 415, "text/csv"),
        (encoded(), {"accept": "application/jsonlines"}, 406, "application/jsonlines"),
    ],
)
async def test_errors_are_those_of_invocations(
    workbench: Workbench, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    workbench.limits = Limits(body_bytes=100_000, pixels=4096)
    async with workbench.client() as client:
        response = await client.post("/explain", content=body, headers=JPEG | headers)
        assert response.status_code == status
        assert said in error_of(response)
        assert (await client.post("/explain", content=encoded(), headers=JPEG)).status_code == 200
        assert f'imclass_requests_total{{model="model",status="{status}"}} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/*;q=0.5"])
async def test_accepted_as_json(workbench: Workbench, accept: str) -> None:
    async with workbench.client() as client:
        response = await client.post("/explain", content=encoded(), headers=JPEG | {"accept": accept})
    assert response.headers["content-type"] == "application/json"
    assert response.status_code == 200


async def test_a_token_is_asked_for(workbench: Workbench) -> None:
    async with workbench.client(token="s3cret") as client:
        assert (await client.post("/explain", content=encoded(), headers=JPEG)).status_code == 401
        right = JPEG | {"authorization": "Bearer s3cret"}
        assert (await client.post("/explain", content=encoded(), headers=right)).status_code == 200


async def test_each_model_explains_itself(workbench: Workbench) -> None:
    services = [workbench.service("a"), workbench.service("b", ExampleBackend(np.array([0.25, 0.75], np.float32)))]
    async with workbench.client(*services) as client:
        for name, best in (("a", 0), ("b", 1)):
            content = (await client.post(f"/models/{name}/explain", content=encoded(), headers=JPEG)).json()
            assert (content["model"], content["activation_map"]["index"]) == (name, best)
        assert (await client.post("/explain", content=encoded(), headers=JPEG)).status_code == 404


async def test_503_when_the_queue_is_full(workbench: Workbench) -> None:
    workbench.batching = Batching(max_batch=1, queue_size=1)
    async with workbench.client() as client:
        workbench.backend.may_go_on.clear()
        waiting = asyncio.create_task(client.post("/explain", content=encoded(), headers=JPEG))
        await until(workbench.backend.has_begun.is_set)
        refused = await client.post("/explain", content=encoded(), headers=JPEG)
        workbench.backend.may_go_on.set()
        assert (await waiting).status_code == 200
    assert refused.status_code == 503
    assert "1 of 1 places" in error_of(refused)


async def test_503_when_too_many_explanations_wait(workbench: Workbench) -> None:
    workbench.limits = Limits(waiting_explanations=2)
    async with workbench.client() as client:
        workbench.backend.may_go_on.clear()
        waiting = [asyncio.create_task(client.post("/explain", content=encoded(), headers=JPEG)) for _ in range(2)]
        await until(lambda: b'imclass_queue_images{model="model"} 2.0' in workbench.metrics.text())
        refused = await client.post("/explain", content=encoded(), headers=JPEG)
        workbench.backend.may_go_on.set()
        assert [(await task).status_code for task in waiting] == [200, 200]
        assert (await client.post("/explain", content=encoded(), headers=JPEG)).status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "2 explanations are waiting" in error_of(refused)


async def test_503_when_the_model_takes_too_long(workbench: Workbench) -> None:
    workbench.limits = Limits(request_seconds=0.1)
    async with workbench.client() as client:
        workbench.backend.may_go_on.clear()
        response = await client.post("/explain", content=encoded(), headers=JPEG)
        workbench.backend.may_go_on.set()
    assert response.status_code == 503
    assert "within 0.1 seconds" in error_of(response)


async def test_500_and_the_server_goes_on(workbench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    async with workbench.client() as client:
        workbench.backend.fault = RuntimeError("secret detail")
        response = await client.post("/explain", content=encoded(), headers=JPEG)
        assert response.status_code == 500
        assert "secret" not in error_of(response)
        workbench.backend.fault = None
        assert (await client.post("/explain", content=encoded(), headers=JPEG)).status_code == 200


async def test_answers_keep_to_the_schema(workbench: Workbench) -> None:
    async with workbench.client() as client:
        document = (await client.get("/openapi.json")).json()
        content = (await client.post("/explain", content=noise(40, 20), headers=JPEG)).json()
    schema = document["paths"]["/explain"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(content, schema)


async def test_the_thread_ends_with_the_application(workbench: Workbench) -> None:
    import threading

    async with workbench.client() as client:
        await client.post("/explain", content=encoded(), headers=JPEG)
    await until(lambda: not any(thread.name.startswith("imclass-explain") for thread in threading.enumerate()))
