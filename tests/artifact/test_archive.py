"""Getting members out of archives and folders that nobody should trust."""

import gzip
import io
import os
import shutil
import subprocess
import tarfile
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imclass.artifact import load, read_description, save
from imclass.errors import ArtifactError
from tests.artifact.packing import describe, entry, pack, plain_members, small_network


def refusal(path, **options):
    """The error that opening gives; it names the file and says what to do."""
    with pytest.raises(ArtifactError) as caught:
        load(path, **options)
    assert str(path) in str(caught.value)
    assert caught.value.fix
    return caught.value


# ------------------------------------------------------------------------------------------- sound, but foreign


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_other_tools_open(tmp_path, form):
    entries = [
        entry("./", type=tarfile.DIRTYPE),
        entry("./._model.json", b"a note of another system"),
        *(entry(f"./{name}", data, pax_headers={"mtime": "1700000000.25"}) for name, data in plain_members().items()),
        entry("./" + "long/" * 50 + "name.txt", b"note"),
        entry("./code/inference.py", b"print()"),
    ]
    description, _ = load(pack(tmp_path / "model.tar.gz", entries[:-2] + entries[-1:], format=form))
    assert description == describe()
    if form != tarfile.USTAR_FORMAT:
        description, _ = load(pack(tmp_path / "long.tar.gz", entries, format=form))
        assert description == describe()


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the tar program")
def test_repacked_with_the_tar_program(tmp_path):
    folder = tmp_path / "unpacked"
    save(tmp_path / "model.tar.gz", describe(), small_network().state_dict())
    folder.mkdir()
    subprocess.run(["tar", "xzf", tmp_path / "model.tar.gz", "-C", folder], check=True)
    subprocess.run(["tar", "czf", tmp_path / "again.tar.gz", "-C", folder, "."], check=True)
    assert load(tmp_path / "again.tar.gz")[0] == load(folder)[0] == describe()


def test_members_in_another_order_open(tmp_path):
    reverse = dict(reversed(plain_members().items()))
    path = pack(tmp_path / "model.tar.gz", reverse)
    assert load(path)[0] == read_description(path) == describe()


# ------------------------------------------------------------------------------------------------ unsafe members


@pytest.mark.parametrize("name", ["/etc/passwd", "../model.json", "a/../../b", "./../x", "..", "/"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = pack(tmp_path / "model.tar.gz", [entry(name, b"x"), *(entry(*m) for m in plain_members().items())])
    assert "leads out of the archive" in refusal(path).what


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "neither a file nor a folder"),
        (tarfile.BLKTYPE, "neither a file nor a folder"),
        (tarfile.FIFOTYPE, "neither a file nor a folder"),
        (tarfile.CONTTYPE, "neither a file nor a folder"),
        (b"?", "neither a file nor a folder"),
    ],
)
def test_links_and_devices_are_refused(tmp_path, kind, what):
    link = entry("model.safetensors", type=kind, linkname="/etc/passwd")
    error = refusal(pack(tmp_path / "model.tar.gz", [entry("model.json", plain_members()["model.json"]), link]))
    assert what in error.what
    assert error.where.endswith(": model.safetensors")


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path):
    path = pack(tmp_path / "model.tar.gz", [entry("\x1b[2Jx", type=tarfile.SYMTYPE, linkname="y")])
    assert "\x1b" not in str(refusal(path))


def test_the_same_member_twice_is_refused(tmp_path):
    entries = [entry(name, data) for name, data in plain_members().items()]
    again = entry("./model.json", plain_members()["model.json"])
    assert "twice" in refusal(pack(tmp_path / "model.tar.gz", [*entries, again])).what


@pytest.mark.parametrize("missing", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_missing_members_are_named(tmp_path, missing, unpacked):
    members = plain_members()
    del members[missing]
    path = tmp_path if unpacked else pack(tmp_path / "model.tar.gz", members)
    if unpacked:
        for name, data in members.items():
            (tmp_path / name).write_bytes(data)
    assert f"there is no {missing} in it" in refusal(path).what


# ---------------------------------------------------------------------------------------------------- large ones


def test_large_members_that_are_none_of_ours_are_refused(tmp_path):
    error = refusal(pack(tmp_path / "model.tar.gz", {"film.mp4": bytes(2 << 20)} | plain_members()))
    assert "2,097,152 bytes" in error.what
    assert error.where.endswith(": film.mp4")


def test_a_large_description_is_refused(tmp_path):
    members = plain_members()
    members["model.json"] += b" " * (17 << 20)
    assert "more than 16,777,216" in refusal(pack(tmp_path / "model.tar.gz", members)).what


def test_archives_above_the_limit_are_refused(tmp_path):
    path = pack(tmp_path / "model.tar.gz", plain_members())
    size = len(gzip.decompress(path.read_bytes()))
    assert "more than" in refusal(path, limit=size // 2).what
    assert load(path, limit=size)[0] == describe()


def header_of(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "other"])
@pytest.mark.parametrize("size", [5 << 30, 1 << 62])
def test_promised_sizes_are_not_believed(tmp_path, name, size):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(header_of(name, size) + bytes(1000)))
    assert "more than" in refusal(path).what


def test_a_promise_within_the_limit_allocates_only_what_comes(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(header_of("model.safetensors", 4 << 30) + bytes(1000)))
    tracemalloc.start()
    try:
        error = refusal(path, limit=1 << 40)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "ends early" in error.what
    assert peak < 20 << 20


def test_negative_sizes_are_refused(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(header_of("model.json", -512) + bytes(2048)))
    assert "impossible size" in refusal(path).what


def bomb(path, header, zeros):
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(header)
        for _ in range(zeros >> 20):
            stream.write(bytes(1 << 20))
    return path


def test_bombs_stop_early(tmp_path):
    """Of 64 MiB of zeros behind the end, or in an annotation, little is unpacked."""
    behind = bomb(tmp_path / "behind.tar.gz", bytes(1024), 64 << 20)
    annotation = bomb(tmp_path / "pax.tar.gz", header_of("x", 64 << 20, tarfile.XHDTYPE), 64 << 20)
    start = time.process_time()
    assert "goes on behind its end" in refusal(behind).what
    assert "67,108,864 bytes" in refusal(annotation).what
    assert time.process_time() - start < 1


def test_endless_tiny_members_are_refused(tmp_path):
    with gzip.open(tmp_path / "many.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(header_of("note", 0) * 10_001)
    assert "more than 10,000 members" in refusal(tmp_path / "many.tar.gz").what


def test_large_files_in_folders_are_refused(tmp_path):
    for name, data in plain_members().items():
        (tmp_path / name).write_bytes(data)
    os.truncate(tmp_path / "model.json", 17 << 20)
    assert "17,825,792 bytes" in refusal(tmp_path).what


@pytest.mark.timeout(10)
def test_a_pipe_in_a_folder_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "model.json")
    assert "there is no model.json" in refusal(tmp_path).what


# ------------------------------------------------------------------------------------------------ damaged, foreign


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"{}", b"\x1f\x8b", b"\x1f\x8b\x08\x00" + bytes(20)])
def test_other_files_are_refused(tmp_path, data):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(data)
    refusal(path)


def test_gzip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(b"just some text, long enough to be a header of tar" * 20))
    assert "not a tar archive inside" in refusal(path).what


def test_a_plain_tar_is_refused(tmp_path):
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in plain_members().items():
            member, data = entry(name, data)
            tar.addfile(member, io.BytesIO(data))
    assert "not a gzip archive" in refusal(path).what


def test_missing_and_unreadable_places_are_named(tmp_path):
    assert "No such file" in refusal(tmp_path / "nowhere.tar.gz").what


def test_data_behind_the_end_is_refused(tmp_path):
    path = pack(tmp_path / "model.tar.gz", plain_members())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"more"))
    assert "goes on behind its end" in refusal(path).what


def test_files_of_mxnet_beside_a_model_of_imclass_are_passed_over(tmp_path):
    theirs = {"image-classification-0001.params": bytes(2 << 20), "image-classification-symbol.json": b"{}"}
    path = pack(tmp_path / "both.tar.gz", plain_members() | theirs)
    assert load(path)[0] == read_description(path) == describe()
    folder = tmp_path / "both"
    folder.mkdir()
    for name, data in (plain_members() | theirs).items():
        (folder / name).write_bytes(data)
    assert load(folder)[0] == describe()


def sound_archive():
    """Where the description is read, every byte counts; compressed and plain, so that both layers are hit."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in plain_members().items():
            member, data = entry(name, data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


TAR = sound_archive()
PACKED = gzip.compress(TAR, 1, mtime=0)


def outcome(path):
    """None if the model opens, else the error; anything but an ArtifactError goes through and fails the test."""
    try:
        load(path)
    except ArtifactError as error:
        return error
    return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_archives_give_an_error_or_the_model(tmp_path, data):
    """Cuts and flipped bits of the packed file: its checksum finds them all but those in gzip's own header."""
    content = bytearray(PACKED)
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content) - 1)))
    if cut is not None:
        del content[cut:]
    places = st.one_of(st.integers(0, 40), st.integers(0, max(0, len(content) - 1)))
    for place in data.draw(st.lists(places, max_size=3)):
        if place < len(content):
            content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    error = outcome(path)
    if error is None:
        assert cut is None
        # Other bits of a packed file can mean the same bytes.
        assert gzip.decompress(content) == gzip.decompress(PACKED)
    else:
        assert str(path) in str(error)


HEADERS = [0, 512 + -(-len(plain_members()["model.json"]) // 512) * 512]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wrong_tar_bytes_give_an_error_or_a_model(tmp_path, data):
    """Behind a right checksum, wrong headers, descriptions and tensor tables."""
    content = bytearray(TAR)
    near = st.sampled_from(HEADERS).flatmap(lambda start: st.integers(start, start + 1400))
    for place in data.draw(st.lists(st.one_of(near, st.integers(0, len(TAR) - 1)), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # a header whose own checksum is right as well
        start = data.draw(st.sampled_from(HEADERS))
        content[start + 148 : start + 156] = b" " * 8
        content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + 512])
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(bytes(content), 1))
    error = outcome(path)
    assert error is None or str(path) in str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000))
def test_arbitrary_bytes_give_an_error(tmp_path, content):
    path = tmp_path / "model.tar.gz"
    for data in (content, gzip.compress(content)):
        path.write_bytes(data)
        assert outcome(path) is not None
