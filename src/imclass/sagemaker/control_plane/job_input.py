"""What the container of a host finds below /opt/ml: its configuration, its channels, and earlier checkpoints."""

import json
import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from imclass.sagemaker.control_plane.buckets import Buckets, Place, link, link_files
from imclass.sagemaker.control_plane.channel_data import augmented_lines, object_items
from imclass.sagemaker.control_plane.channel_requests import channel_mode
from imclass.sagemaker.control_plane.job_hosts import JobHost
from imclass.sagemaker.control_plane.pipes import Part, PipePlan, write_plans
from imclass.sagemaker.control_plane.state import Document
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.s3.paths import path_of

INTERFACE = "lo"


def write_input(host: JobHost, addresses: Mapping[str, str], document: Document, buckets: Buckets) -> None:
    """Write everything for one host.

    Args:
        addresses: of all hosts, by name.

    Raises:
        UserError: the data of a channel cannot be had.
    """
    layout, channels = host.layout, document.get("InputDataConfig", [])
    mode = document["AlgorithmSpecification"]["TrainingInputMode"]
    _write_json(layout.hyperparameters, document.get("HyperParameters", {}))
    _write_json(layout.input_data_config, {each["ChannelName"]: channel_config(each, mode) for each in channels})
    _write_json(layout.resource_config, resource_config(host, addresses, document["ResourceConfig"]))
    plans = []
    for each in channels:
        share = (host.index, len(addresses)) if _is_sharded(each) else (0, 1)
        if channel_mode(each, mode) == "Pipe":
            plans.append(pipe_plan(each, host, share, buckets))
        else:
            items = islice(object_items(each["DataSource"]["S3DataSource"], buckets), share[0], None, share[1])
            link_files(((item.name, item.file) for item in items), layout.channel(each["ChannelName"]))
    if plans:
        write_plans(host.pipes, plans)
    for folder in (layout.model, layout.output_data, layout.checkpoints):
        folder.mkdir(parents=True, exist_ok=True)
    if "CheckpointConfig" in document:
        fetch_checkpoints(layout, buckets, Place.of(document["CheckpointConfig"]["S3Uri"]).as_folder)


def pipe_plan(channel: Mapping[str, Any], host: JobHost, share: tuple[int, int], buckets: Buckets) -> PipePlan:
    """How a channel is fed, from links that stay what they are."""
    name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
    if source["S3DataType"] == "AugmentedManifestFile":
        lines: Iterator[list[Path | str]] = (list(line) for line in augmented_lines(source, buckets))
    else:
        items = object_items(source, buckets)
        lines = ([item.file] for item in items if item.name and not item.name.endswith("/"))
    links = _Links(host.objects / name)
    return PipePlan(
        prefix=str(host.layout.channel(name)),
        items=[[Part(text=part) if isinstance(part, str) else links.part(part) for part in line] for line in lines],
        is_compressed=channel.get("CompressionType") == "Gzip",
        is_wrapped=channel.get("RecordWrapperType") == "RecordIO",
        seed=channel.get("ShuffleConfig", {}).get("Seed"),
        host=share[0],
        hosts=share[1],
    )


class _Links:
    """Numbered links in a folder, one for each file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, Part] = {}

    def part(self, file: Path) -> Part:
        if file not in self._known:
            target = self._folder / f"{len(self._known):08d}"
            link(file, target)
            self._known[file] = Part(file=str(target))
        return self._known[file]


def fetch_checkpoints(layout: Layout, buckets: Buckets, place: Place) -> None:
    """Copy the checkpoints of an earlier job; they are no links, for this job goes on writing them."""
    for each in buckets.objects(place):
        name = each.key.removeprefix(place.key)
        if name and not name.endswith("/"):
            target = layout.checkpoints.joinpath(*path_of(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each.file, target)


def channel_config(channel: Mapping[str, Any], mode_of_job: str) -> dict[str, str]:
    """The settings of a channel in inputdataconfig.json."""
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": channel_mode(channel, mode_of_job),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return config | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def resource_config(host: JobHost, addresses: Mapping[str, str], resources: Mapping[str, Any]) -> dict[str, object]:
    """The content of resourceconfig.json."""
    return {
        "current_host": host.name,
        "hosts": sorted(addresses),
        "network_interface_name": INTERFACE,
        "current_instance_type": resources.get("InstanceType", ""),
    } | ({"addresses": dict(addresses)} if len(addresses) > 1 else {})


def _is_sharded(channel: Mapping[str, Any]) -> bool:
    return bool(channel["DataSource"]["S3DataSource"].get("S3DataDistributionType") == "ShardedByS3Key")


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
