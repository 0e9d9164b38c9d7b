"""What a host finds: channels of all kinds, made from a store."""

import json
from pathlib import Path
from typing import Any

import pytest

from imclass.errors import UserError
from imclass.sagemaker.cluster import read_cluster
from imclass.sagemaker.control_plane.jobs.hosts import JobHost, JobHosts
from imclass.sagemaker.control_plane.jobs.pipes import Part, PipePlan, read_plans
from imclass.sagemaker.control_plane.jobs.runner import Network
from imclass.sagemaker.control_plane.store.local_buckets import LocalBuckets
from imclass.sagemaker.control_plane.training.job_input import write_input
from imclass.sagemaker.s3.store import Store
from tests.sagemaker.control_plane.server import channel, job

ADDRESSES = {"algo-1": "127.70.1.1", "algo-2": "127.70.1.2"}
NETWORK = Network(ADDRESSES, {"algo-1": "lo", "algo-2": "eth0"}, 29411)


@pytest.fixture
def s3(tmp_path: Path) -> Path:
    """The folder of a bucket with eight objects."""
    for number in range(8):
        file = tmp_path / f"s3/bucket/train/{'ab'[number % 2]}/{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(number))
    return tmp_path / "s3/bucket"


@pytest.fixture
def buckets(s3: Path) -> LocalBuckets:
    return LocalBuckets(Store(s3.parent))


def source(**members: Any) -> dict[str, Any]:
    return {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/train/", **members}}}


def written(tmp_path: Path, buckets: LocalBuckets, *channels: dict[str, Any], **members: Any) -> list[JobHost]:
    """The two hosts of a job with these channels."""
    document = job("job-1", **{"InputDataConfig": list(channels), **members})
    hosts = JobHosts(tmp_path / "job", 2).all
    for host in hosts:
        write_input(host, NETWORK, document, buckets)
    return hosts


def names(host: JobHost, name: str = "train") -> list[str]:
    folder = host.layout.channel(name)
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def contents(plan: PipePlan) -> list[list[str]]:
    """What each item of a plan is sent as."""
    return [[Path(part.file).read_text() if part.file else str(part.text) for part in item] for item in plan.items]


def test_every_host_has_its_name_and_the_addresses_of_all(tmp_path: Path, buckets: LocalBuckets) -> None:
    for host in written(tmp_path, buckets, channel("train")):
        cluster = read_cluster(host.layout.resource_config)
        assert (cluster.current_host, cluster.hosts) == (host.name, ("algo-1", "algo-2"))
        assert cluster.addresses == ADDRESSES
        assert (cluster.network_interface, cluster.port) == (NETWORK.interfaces[host.name], 29411)
        assert json.loads(host.layout.hyperparameters.read_text())["epochs"] == "3"


def test_all_hosts_have_all_files_or_a_share(tmp_path: Path, buckets: LocalBuckets, s3: Path) -> None:
    shared = channel("sharded", **source(S3DataDistributionType="ShardedByS3Key"))
    hosts = written(tmp_path, buckets, channel("train"), shared)
    everything = sorted(file.relative_to(s3 / "train").as_posix() for file in s3.rglob("*.jpg"))
    assert [names(host) for host in hosts] == [everything, everything]
    shares = [names(host, "sharded") for host in hosts]
    assert [len(share) for share in shares] == [4, 4]
    assert sorted(shares[0] + shares[1]) == everything
    assert hosts[1].layout.channel("train").joinpath("a/0.jpg").samefile(s3 / "train/a/0.jpg")


def test_one_object_is_a_file_of_its_name(tmp_path: Path, buckets: LocalBuckets) -> None:
    host, _ = written(tmp_path, buckets, channel("train", "s3://bucket/train/a/0.jpg"))
    assert names(host) == ["0.jpg"]


def test_a_manifest_names_the_files(tmp_path: Path, buckets: LocalBuckets, s3: Path) -> None:
    (s3 / "list.json").write_text(json.dumps([{"prefix": "s3://bucket/train/"}, "b/3.jpg", "a/0.jpg"]))
    listed = source(S3DataType="ManifestFile", S3Uri="s3://bucket/list.json")
    host, _ = written(tmp_path, buckets, channel("train", **listed), channel("piped", InputMode="Pipe", **listed))
    assert names(host) == ["a/0.jpg", "b/3.jpg"]
    (plan,) = read_plans(host.pipes)
    assert contents(plan) == [["3"], ["0"]]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("no json", "s3://bucket/list.json: not JSON"),
        ('["a/0.jpg"]', "element 0 is no object with the text prefix"),
        ('[{"prefix": "s3://bucket/train/"}, 3]', "element 1: not a text"),
        ('[{"prefix": "s3://bucket/train/"}, "a/0.jpg", "a/9.jpg"]', "element 2: there is no object s3://bucket/train/a/9"),
        ('[{"prefix": "/etc/"}, "passwd"]', "'/etc/passwd' is not s3://BUCKET/KEY"),
    ],
)  # fmt: skip
def test_manifests_that_are_none(tmp_path: Path, buckets: LocalBuckets, s3: Path, manifest: str, message: str) -> None:
    (s3 / "list.json").write_text(manifest)
    with pytest.raises(UserError) as caught:
        written(tmp_path, buckets, channel("train", **source(S3DataType="ManifestFile", S3Uri="s3://bucket/list.json")))
    assert message in str(caught.value)


def augmented(**members: Any) -> dict[str, Any]:
    found = source(
        S3DataType="AugmentedManifestFile", S3Uri="s3://bucket/lines.jsonl", AttributeNames=["source-ref", "class"]
    )
    return channel("train", InputMode="Pipe", RecordWrapperType="RecordIO", **found, **members)


def test_an_augmented_manifest_is_images_and_labels_in_turn(tmp_path: Path, buckets: LocalBuckets, s3: Path) -> None:
    lines = [
        {"class": "0", "source-ref": "s3://bucket/train/a/0.jpg", "class-metadata": {}},
        {"class": [1, 0], "source-ref": "s3://bucket/train/b/1.jpg"},
        {"class": 2, "source-ref": "s3://bucket/train/a/0.jpg"},
    ]
    (s3 / "lines.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines))
    host, other = written(tmp_path, buckets, augmented(ShuffleConfig={"Seed": 11}))
    (plan,) = read_plans(host.pipes)
    assert contents(plan) == [["0", '"0"'], ["1", "[1, 0]"], ["0", "2"]]
    assert (plan.seed, plan.is_wrapped, plan.is_compressed, plan.hosts) == (11, True, False, 1)
    assert plan.prefix == str(host.layout.channel("train"))
    assert read_plans(other.pipes)[0].prefix == str(other.layout.channel("train"))


def test_what_is_piped_stays_what_it_was(tmp_path: Path, buckets: LocalBuckets, s3: Path) -> None:
    host, _ = written(tmp_path, buckets, channel("train", InputMode="Pipe"))
    before = contents(read_plans(host.pipes)[0])
    (s3 / "train/a/0.jpg").unlink()
    assert contents(read_plans(host.pipes)[0]) == before
    assert all(isinstance(part, Part) for item in read_plans(host.pipes)[0].items for part in item)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "s3://bucket/lines.jsonl, line 1: the line is not JSON"),
        ("[]", "the line is not an object"),
        ('{"source-ref": "s3://bucket/train/a/0.jpg"}', "no attribute 'class', only source-ref"),
        ('{"source-ref": "s3://bucket/train/a/9.jpg", "class": "1"}', "there is no object s3://bucket/train/a/9.jpg"),
        ('{"source-ref": 7, "class": "1"}', "'source-ref' is no address of S3"),
        ('{"source-ref": "file:///etc/passwd", "class": "1"}', "is not s3://BUCKET/KEY"),
    ],
)
def test_lines_that_are_none(tmp_path: Path, buckets: LocalBuckets, s3: Path, line: str, message: str) -> None:
    (s3 / "lines.jsonl").write_text(line)
    with pytest.raises(UserError) as caught:
        written(tmp_path, buckets, augmented())
    assert message in str(caught.value)


def test_checkpoints_are_copies(tmp_path: Path, buckets: LocalBuckets, s3: Path) -> None:
    place = {"CheckpointConfig": {"S3Uri": "s3://bucket/train/a"}}
    host, _ = written(tmp_path, buckets, channel("train"), **place)
    copied = host.layout.checkpoints / "0.jpg"
    assert copied.read_text() == "0"
    assert not copied.samefile(s3 / "train/a/0.jpg")
    assert sorted(file.name for file in host.layout.checkpoints.iterdir()) == ["0.jpg", "2.jpg", "4.jpg", "6.jpg"]
