"""What the container of a host finds below /opt/ml: its configuration, its channels, and earlier checkpoints."""

import json
import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from imclass.sagemaker.control_plane.jobs.hosts import JobHost
from imclass.sagemaker.control_plane.jobs.pipes import Part, PipePlan, write_plans
from imclass.sagemaker.control_plane.jobs.runner import Network
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, link, link_files
from imclass.sagemaker.control_plane.store.state import Document
from imclass.sagemaker.control_plane.training.channel_data import Line, augmented_lines, object_items
from imclass.sagemaker.control_plane.training.channel_requests import channel_mode
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.s3.paths import path_of


def write_input(host: JobHost, network: Network, document: Document, buckets: Buckets) -> None:
    """Write everything for one host.

    Args:
        network: between all hosts.

    Raises:
        UserError: the data of a channel cannot be had.
    """
    layout, channels = host.layout, document.get("InputDataConfig", [])
    mode = document["AlgorithmSpecification"]["TrainingInputMode"]
    _write_json(layout.hyperparameters, document.get("HyperParameters", {}))
    _write_json(layout.input_data_config, {each["ChannelName"]: channel_config(each, mode) for each in channels})
    _write_json(layout.resource_config, resource_config(host, network, document["ResourceConfig"]))
    plans = []
    for each in channels:
        share = (host.index, len(network.addresses)) if _is_sharded(each) else (0, 1)
        if channel_mode(each, mode) == "Pipe":
            plans.append(pipe_plan(each, host, share, buckets))
        else:
            items = list(islice(object_items(each["DataSource"]["S3DataSource"], buckets), share[0], None, share[1]))
            files = buckets.files([item.object for item in items])
            link_files(zip((item.name for item in items), files, strict=True), layout.channel(each["ChannelName"]))
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
        lines: list[Line] = list(augmented_lines(source, buckets))
    else:
        items = object_items(source, buckets)
        lines = [[item.object] for item in items if item.name and not item.name.endswith("/")]
    objects = {part.place: part for line in lines for part in line if not isinstance(part, str)}
    links = _linked(dict(zip(objects, buckets.files(list(objects.values())), strict=True)), host.objects / name)
    return PipePlan(
        prefix=str(host.layout.channel(name)),
        items=[[Part(text=part) if isinstance(part, str) else links[part.place] for part in line] for line in lines],
        is_compressed=channel.get("CompressionType") == "Gzip",
        is_wrapped=channel.get("RecordWrapperType") == "RecordIO",
        seed=channel.get("ShuffleConfig", {}).get("Seed"),
        host=share[0],
        hosts=share[1],
    )


def _linked(files: Mapping[Place, Path], folder: Path) -> dict[Place, Part]:
    """A numbered link in a folder for each object."""
    links = {}
    for number, (place, file) in enumerate(files.items()):
        target = folder / f"{number:08d}"
        link(file, target)
        links[place] = Part(file=str(target))
    return links


def fetch_checkpoints(layout: Layout, buckets: Buckets, place: Place) -> None:
    """Copy the checkpoints of an earlier job; they are no links, for this job goes on writing them."""
    objects = [each for each in buckets.objects(place) if not each.key.endswith("/")]
    for each, file in zip(objects, buckets.files(objects), strict=True):
        target = layout.checkpoints.joinpath(*path_of(each.key.removeprefix(place.key)))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def channel_config(channel: Mapping[str, Any], mode_of_job: str) -> dict[str, str]:
    """The settings of a channel in inputdataconfig.json."""
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": channel_mode(channel, mode_of_job),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return config | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def resource_config(host: JobHost, network: Network, resources: Mapping[str, Any]) -> dict[str, object]:
    """The content of resourceconfig.json."""
    return {
        "current_host": host.name,
        "hosts": sorted(network.addresses),
        "network_interface_name": network.interfaces[host.name],
        "current_instance_type": resources.get("InstanceType", ""),
    } | ({"addresses": dict(network.addresses), "port": network.port} if len(network.addresses) > 1 else {})


def _is_sharded(channel: Mapping[str, Any]) -> bool:
    return bool(channel["DataSource"]["S3DataSource"].get("S3DataDistributionType") == "ShardedByS3Key")


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
