"""Who may use the server."""

import pytest

from tests.inference.serving.parts import JPEG, Workbench, encoded

pytestmark = pytest.mark.anyio

ARRAY = b"[0.6257858276367188, 0.37421420216560364]"


async def test_a_token_is_asked_for(workbench: Workbench) -> None:
    async with workbench.client(token="s3cret") as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}):
            response = await client.get("/model", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert "Bearer TOKEN" in response.json()["error"]
        assert (await client.post("/invocations", content=encoded(), headers=JPEG)).status_code == 401
        right = {"authorization": "bearer s3cret"}
        assert (await client.post("/invocations", content=encoded(), headers=JPEG | right)).content == ARRAY
        assert (await client.get("/ping")).status_code == 200
        assert (await client.get("/")).status_code == 200


async def test_other_web_sites_are_let_in_only_when_named(workbench: Workbench) -> None:
    asked = {"origin": "https://example.org", "access-control-request-method": "POST"}
    async with workbench.client() as client:
        assert (await client.options("/invocations", headers=asked)).status_code == 405
        response = await client.post("/invocations", content=encoded(), headers=JPEG | asked)
        assert "access-control-allow-origin" not in response.headers
    fresh = Workbench()
    async with fresh.client(cors_origins=("https://example.org",), token="t") as client:
        allowed = await client.options(
            "/invocations", headers=asked | {"access-control-request-headers": "Authorization"}
        )
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        refused = await client.options("/invocations", headers=asked | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
