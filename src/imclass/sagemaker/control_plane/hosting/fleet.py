"""All instances of one deployment."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.hosting.deployment import Deployment, Variant
from imclass.sagemaker.control_plane.hosting.instance import Instance
from imclass.sagemaker.control_plane.hosting.launching import launch
from imclass.sagemaker.control_plane.hosting.model_folder import make_model_folder
from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess, UnhealthyError
from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.store.log_files import LogFolder
from imclass.sagemaker.control_plane.store.state import State

MODEL = "model"
INSTANCES = "instances"


@dataclass(frozen=True)
class HostingPlaces:
    """What all endpoints share.

    Attributes:
        folder: with a folder for each endpoint.
    """

    state: State
    buckets: Buckets
    logs: LogFolder
    account: Account
    folder: Path


class DeploymentFailedError(Exception):
    """A deployment does not work; the message is for its owner."""


def log_group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


class Fleet:
    """Instances, by variant; for one event loop.

    Args:
        endpoint: its name.
        on_change: called when an instance has come, is gone, or has changed its health.

    Attributes:
        deployment: what is to run.
        instances: by variant name, those that run or are kept going.
    """

    def __init__(
        self, endpoint: str, deployment: Deployment, places: HostingPlaces, on_change: Callable[[], None]
    ) -> None:
        self.deployment = deployment
        self.instances: dict[str, list[Instance]] = {variant.name: [] for variant in deployment.variants}
        self._endpoint = endpoint
        self._places = places
        self._on_change = on_change
        self._folder = places.folder / endpoint / deployment.id
        self._keeping: dict[Instance, asyncio.Task[None]] = {}
        self._retiring: set[Instance] = set()
        self._launched = 0

    async def start(self) -> None:
        """Start all instances and wait until they are healthy; then keep them going.

        Raises:
            DeploymentFailedError: one of them does not get so far; none is left.
        """
        await self.scale(self.deployment)

    async def resume(self) -> None:
        """Keep all instances going, without waiting until they are healthy.

        Raises:
            DeploymentFailedError: a model is gone.
        """
        await self._make_model_folders()
        for variant in self.deployment.variants:
            for _ in range(variant.instance_count):
                self._keep(variant, self._new_instance(variant, self.deployment.instance_count))

    async def scale(self, deployment: Deployment) -> None:
        """Bring every variant to another number of instances: new ones are healthy before old ones end.

        Args:
            deployment: with the variants of this one.

        Raises:
            DeploymentFailedError: a new instance does not get healthy; then all is as before.
        """
        await self._make_model_folders()
        new = [
            (variant, self._new_instance(variant, deployment.instance_count))
            for variant in deployment.variants
            for _ in range(variant.instance_count - len(self.instances[variant.name]))
        ]
        try:
            async with asyncio.TaskGroup() as starting:
                for variant, instance in new:
                    starting.create_task(_started(variant, instance))
        except BaseExceptionGroup as group:
            await _end_all(instance for _, instance in new)
            raise first_failure(group) from group
        except asyncio.CancelledError:
            await _end_all(instance for _, instance in new)
            raise
        self.deployment = deployment
        for variant, instance in new:
            self._keep(variant, instance)

    async def shrink(self) -> None:
        """End the instances that are more than the deployment asks for; they get no requests any more."""
        await self._retire([each for variant in self.deployment.variants for each in self._surplus(variant)])

    def wanted(self, variant: Variant) -> list[Instance]:
        """The instances of a variant that are to get requests."""
        return self.instances[variant.name][: variant.instance_count]

    def _surplus(self, variant: Variant) -> list[Instance]:
        return self.instances[variant.name][variant.instance_count :]

    async def end(self) -> None:
        """Let all instances answer what they have, and end them; they get no requests any more."""
        await self._retire([each for instances in self.instances.values() for each in instances])

    async def remove_folder(self) -> None:
        """Remove the models and the folders of the instances, all of which have ended."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def end_now(self) -> None:
        """As `end`; what is not accepted yet is given up."""
        await self._stop_keeping(list(self._keeping))
        await _end_all([*self._retiring, *(each for instances in self.instances.values() for each in instances)])

    @property
    def healthy_counts(self) -> dict[str, int]:
        """How many instances can answer, by variant name."""
        return {
            name: sum(instance.process is not None for instance in list(instances))
            for name, instances in self.instances.items()
        }

    async def _make_model_folders(self) -> None:
        for variant in self.deployment.variants:
            folder = self._folder / variant.name / MODEL
            try:
                await asyncio.to_thread(make_model_folder, variant, self._places.buckets, folder)
            except (UserError, ValueError) as error:
                raise DeploymentFailedError(
                    f"Failed to download model data for the container of production variant {variant.name} from URL: "
                    f'"{variant.model_data}". {error}'
                ) from error

    def _new_instance(self, variant: Variant, count: int) -> Instance:
        number, self._launched = self._launched, self._launched + 1
        return Instance(
            self._folder / variant.name / INSTANCES,
            variant.startup_seconds,
            partial(self._launch, variant, number, count),
            self._on_change,
        )

    def _launch(self, variant: Variant, number: int, count: int, instance: Instance) -> ServingProcess:
        log_file = self._places.logs.file(log_group(self._endpoint), f"{variant.name}/{instance.id}")
        assert log_file is not None, "names of variants are names of streams"
        return launch(
            variant,
            folder=instance.folder,
            model=self._folder / variant.name / MODEL,
            log_file=log_file,
            account=self._places.account,
            number=number,
            count=count,
        )

    def _keep(self, variant: Variant, instance: Instance) -> None:
        self.instances[variant.name].append(instance)
        self._keeping[instance] = asyncio.create_task(instance.keep())

    async def _retire(self, instances: list[Instance]) -> None:
        """Drain and end instances that run; from now on they do not count."""
        for each in self.instances.values():
            each[:] = [instance for instance in each if instance not in instances]
        self._retiring.update(instances)
        await self._stop_keeping(instances)
        async with asyncio.TaskGroup() as ending:
            for instance in instances:
                ending.create_task(_retired(instance))
        self._retiring.difference_update(instances)

    async def _stop_keeping(self, instances: list[Instance]) -> None:
        for instance in instances:
            if instance in self._keeping:
                keeping = self._keeping.pop(instance)
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping


async def _started(variant: Variant, instance: Instance) -> None:
    try:
        await instance.start()
    except UnhealthyError as error:
        raise DeploymentFailedError(
            f"The primary container for production variant {variant.name} did not pass the ping health check. Please "
            f"check CloudWatch logs for this endpoint. {error}"
        ) from error


async def _retired(instance: Instance) -> None:
    await instance.drain()
    await instance.end()


async def _end_all(instances: Iterable[Instance]) -> None:
    await asyncio.gather(*(instance.end() for instance in instances))


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of what went wrong at the same time, that which is told: a failure of the deployment before a fault of ours."""
    failures = group.subgroup(DeploymentFailedError)
    return (failures or group).exceptions[0]
