"""Files of web servers, and Google's protocol."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from imclass.data import local_path, located, open_source
from imclass.data.remote import downloading, listed_images, stores
from imclass.data.remote.addresses import parse_address
from imclass.errors import DataError
from tests.remote_servers import web_server


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMCLASS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(downloading, "PART_BYTES", 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "www/my data").mkdir(parents=True)
    (tmp_path / "www/my data/a.rec").write_bytes(bytes(range(256)) * 10)
    return tmp_path / "www"


def test_a_file_comes_in_parts_and_once(folder: Path) -> None:
    with web_server(folder) as (url, requests):
        address = f"{url}/my%20data/a.rec?X-Signature=se%2Fcret"
        path = local_path(address)
        assert path.read_bytes() == bytes(range(256)) * 10
        assert "secret" not in str(path)
        asked = sorted(requests)
        assert asked == ["GET bytes=0-999", "GET bytes=1000-1999", "GET bytes=2000-2559", "HEAD", "HEAD"]
        requests.clear()
        assert local_path(address) == path
        assert requests == ["HEAD", "HEAD"], "the file, and the .idx that is not there"
        (folder / "my data/a.rec").write_bytes(b"new")
        assert local_path(address).read_bytes() == b"new"


def test_a_server_without_ranges_and_tags(folder: Path) -> None:
    with web_server(folder, plain=True) as (url, _):
        assert local_path(f"{url}/my%20data/a.rec").read_bytes() == bytes(range(256)) * 10
        (folder / "my data/a.rec").write_bytes(bytes(reversed(range(256))) * 10)
        assert local_path(f"{url}/my%20data/a.rec").read_bytes() == bytes(reversed(range(256))) * 10


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stores.TIMEOUTS, "read_timeout", timedelta(seconds=0.5))
    monkeypatch.setattr(downloading, "in_parallel", partial(downloading.in_parallel, stall_seconds=0.8))
    monkeypatch.setattr(stores, "STREAM_PIECE", 100)
    with web_server(folder, plain=True, pauses=(0.1,) * 12) as (url, _):
        assert local_path(f"{url}/my%20data/a.rec").stat().st_size == 2560
    with (
        web_server(folder, plain=True, pauses=(0.1, 5.0, 0.1)) as (url, _),
        pytest.raises(DataError, match="the connection broke, or fell silent"),
    ):
        local_path(f"{url}/my%20data/a.rec")


def test_a_link_that_is_signed_for_get(folder: Path) -> None:
    with web_server(folder, refuses_head=True) as (url, _):
        assert local_path(f"{url}/my%20data/a.rec").stat().st_size == 2560


def test_mistakes(folder: Path) -> None:
    with web_server(folder) as (url, _):
        with pytest.raises(DataError, match="there is no such object"):
            local_path(f"{url}/b.rec")
        with pytest.raises(DataError, match="names no file"):
            local_path(url)
        with pytest.raises(DataError, match="with a name and a password") as caught:
            local_path(url.replace("//", "//user:word@") + "/a.rec")
        assert "word@" not in str(caught.value)
        (folder / "b.lst").write_text("x")
        with pytest.raises(DataError, match=r"only \.rec files can be streamed"):
            located(f"{url}/b.lst", stream=True)


def test_a_list_on_a_web_server(folder: Path) -> None:
    (folder / "x.lst").write_text("0\t1\tmy data/1.jpg\n")
    (folder / "my data/1.jpg").write_bytes(b"one")
    with web_server(folder) as (url, _):
        assert open_source(f"{url}/x.lst")[0].image == b"one"


def test_google_cloud_storage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    for name in ("1", "2"):
        (folder / "my-bucket/photos/cat").mkdir(parents=True, exist_ok=True)
        (folder / f"my-bucket/photos/cat/{name}.jpg").write_bytes(name.encode())
    with web_server(folder) as (url, _):
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        source = open_source("gs://my-bucket/photos")
        assert [source[index].image for index in range(2)] == [b"1", b"2"]
        with pytest.raises(DataError, match="nothing is in a folder"):
            local_path("gs://my-bucket/photo")


def test_who_may_read_objects_need_not_be_allowed_to_list_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    monkeypatch.setattr(listed_images, "FEWEST_TO_LIST", 2)
    (folder / "my-bucket").mkdir()
    for name in ("1", "2", "3"):
        (folder / f"my-bucket/{name}.jpg").write_bytes(name.encode())
    (folder / "my-bucket/x.lst").write_text("0\t1\t1.jpg\n1\t0\t2.jpg\n2\t0\t3.jpg\n")
    with web_server(folder, refuses_list=True) as (url, _):
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        source = open_source("gs://my-bucket/x.lst")
        assert [source[index].image for index in range(3)] == [b"1", b"2", b"3"]
        with pytest.raises(DataError, match="access is denied"):
            local_path("gs://my-bucket/photos")


def test_addresses() -> None:
    assert str(parse_address("S3://bucket//a/b#c?d/")) == "s3://bucket/a/b#c?d"
    web = parse_address("https://host:8/a%20b/c.rec?signature=secret")
    assert (web.key, web.name, web.suffix) == ("a b/c.rec", "c.rec", ".rec")
    assert str(web) == "https://host:8/a%20b/c.rec"
    assert str(web.parent / "d.jpg") == "https://host:8/a%20b/d.jpg"
