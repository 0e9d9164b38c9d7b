"""Models and endpoints of a control plane, as tests make and ask them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from tests.conftest import random_pixels, save_random_model
from tests.sagemaker.control_plane.server import DEADLINE, IMAGE, ROLE, Server, pids_with

CLASSES = {"three": 3, "four": 4}
"""Models by name, with the number of their classes, by which answers tell who has given them."""
PNG = cv2.imencode(".png", random_pixels(1)[:, :, ::-1])[1].tobytes()


def write_models(data: Path) -> None:
    """Put the archives of the models into a bucket."""
    for name, number in CLASSES.items():
        folder = data / "s3/bucket/models" / name
        folder.mkdir(parents=True)
        saved = save_random_model(folder, num_classes=number, class_names=tuple("abcd"[:number]))
        saved.rename(folder / "model.tar.gz")


def container(model: str = "three", **members: Any) -> dict[str, Any]:
    return {"Image": IMAGE, "ModelDataUrl": f"s3://bucket/models/{model}/model.tar.gz", **members}


def create_model(sagemaker: Any, name: str, model: str = "three", **members: Any) -> str:
    answer = sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container(model, **members))
    return str(answer["ModelArn"])


def variant(model: str, name: str = "AllTraffic", count: int = 1, **members: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": count,
        "InstanceType": "ml.m4.xlarge",
        **members,
    }


def create_config(sagemaker: Any, name: str, *variants: dict[str, Any], **members: Any) -> str:
    answer = sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants), **members)
    return str(answer["EndpointConfigArn"])


def wait_until(sagemaker: Any, name: str, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for an endpoint until it is as wanted."""
    deadline = time.monotonic() + DEADLINE
    while True:
        description: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        if is_reached(description):
            return description
        assert time.monotonic() < deadline, description
        time.sleep(0.05)


def wait_for_status(sagemaker: Any, name: str, *statuses: str) -> dict[str, Any]:
    return wait_until(sagemaker, name, lambda endpoint: endpoint["EndpointStatus"] in statuses)


def create_endpoint(sagemaker: Any, name: str, config: str) -> dict[str, Any]:
    """An endpoint that is in service; its description."""
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    description = wait_for_status(sagemaker, name, "InService", "Failed")
    assert description["EndpointStatus"] == "InService", description
    return description


def wait_until_gone(sagemaker: Any, name: str) -> None:
    waiter = sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 2400})


def ask(runtime: Any, name: str, **members: Any) -> tuple[str, list[float]]:
    """The variant that has answered, and the probabilities."""
    answer = runtime.invoke_endpoint(
        EndpointName=name, **{"ContentType": "application/x-image", "Body": PNG, **members}
    )
    return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())


def processes_of(server: Server, endpoint: str = "") -> list[int]:
    """Server processes that run for an endpoint of a control plane, or for any."""
    root = f"SAGEMAKER_BASE_DIR={server.data}/endpoints/{endpoint}".encode()
    return pids_with(lambda each: each.startswith(root))


def wait_for_processes(server: Server, endpoint: str, count: int) -> list[int]:
    deadline = time.monotonic() + DEADLINE
    while len(found := processes_of(server, endpoint)) != count:
        assert time.monotonic() < deadline, f"{found}, and {count} are expected"
        time.sleep(0.05)
    return found
