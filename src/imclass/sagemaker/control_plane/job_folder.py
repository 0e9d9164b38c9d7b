"""The folder of a training job while it runs: what the container finds below /opt/ml, and what it leaves there."""

import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imclass.sagemaker.control_plane.account import Account
from imclass.sagemaker.control_plane.buckets import Buckets, Place, is_temporary, link_objects
from imclass.sagemaker.control_plane.state import Document
from imclass.sagemaker.control_plane.training_requests import channel_mode
from imclass.sagemaker.layout import ROOT_VARIABLE, Layout

HOST = "algo-1"
INTERFACE = "lo"
COMPRESSION = 1
"""Weights are all but random: more effort takes time and saves nothing."""
INHERITED_VARIABLES = (
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "TMPDIR",
    "VIRTUAL_ENV",
    "HF_HOME",
    "HF_HUB_OFFLINE",
)
"""What a job gets from the server's environment: no credentials are among them."""


def write_input(layout: Layout, document: Document, buckets: Buckets) -> None:
    """Write the configuration and the channels of a job, and the folders that it writes to."""
    channels = document.get("InputDataConfig", [])
    mode = document["AlgorithmSpecification"]["TrainingInputMode"]
    _write_json(layout.hyperparameters, document.get("HyperParameters", {}))
    _write_json(layout.input_data_config, {each["ChannelName"]: channel_config(each, mode) for each in channels})
    _write_json(layout.resource_config, resource_config(document["ResourceConfig"]))
    for each in channels:
        place = Place.of(each["DataSource"]["S3DataSource"]["S3Uri"])
        link_objects(buckets.objects(place), place.key, layout.channel(each["ChannelName"]))
    for folder in (layout.model, layout.output_data, layout.checkpoints):
        folder.mkdir(parents=True, exist_ok=True)
    if "CheckpointConfig" in document:
        fetch_checkpoints(layout, buckets, Place.of(document["CheckpointConfig"]["S3Uri"]).as_folder)


def fetch_checkpoints(layout: Layout, buckets: Buckets, place: Place) -> None:
    """Copy the checkpoints of an earlier job; they are no links, for this job goes on writing them."""
    for each in buckets.objects(place):
        target = layout.checkpoints / each.key.removeprefix(place.key)
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


def resource_config(resources: Mapping[str, Any]) -> dict[str, object]:
    """The content of resourceconfig.json."""
    return {
        "current_host": HOST,
        "hosts": [HOST],
        "network_interface_name": INTERFACE,
        "current_instance_type": resources.get("InstanceType", ""),
    }


def job_environment(document: Document, layout: Layout, account: Account, slot: Mapping[str, str]) -> dict[str, str]:
    """The environment of the container's process; the job's own variables win over those of the machine."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    return {
        **inherited,
        **slot,
        **document.get("Environment", {}),
        "TRAINING_JOB_NAME": document["TrainingJobName"],
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
        "AWS_REGION": account.region,
        "AWS_DEFAULT_REGION": account.region,
        ROOT_VARIABLE: str(layout.root),
    }


def upload_folder(folder: Path, buckets: Buckets, place: Place) -> bool:
    """Pack what is in a folder into one object, which appears when it is complete.

    Returns:
        False when there is nothing in it; then there is no object.

    Raises:
        UserError: the bucket is gone, or has no space.
    """
    names = sorted(path for path in folder.iterdir() if not is_temporary(path.name)) if folder.is_dir() else []
    if not names:
        return False
    with (
        buckets.pending(place) as target,
        tarfile.open(fileobj=target, mode="w:gz", compresslevel=COMPRESSION) as archive,
    ):
        for path in names:
            archive.add(path, path.name, filter=_nobodys)
    return True


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member without the names of this machine's users."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
