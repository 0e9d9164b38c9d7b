"""`imclass control-plane`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

NEEDS_ARGUMENTS = False

_ADDRESS = "Address"
_JOBS = "Jobs"
_CLIENTS = "Clients"

DATA = Path("imclass-control-plane")
PORT = 4566


class RunsOn(StrEnum):
    """Where training jobs run."""

    LOCAL = "local"
    RAY = "ray"


class Action(StrEnum):
    """What to do."""

    RUN = "run"
    ENV = "env"
    INTERRUPT = "interrupt"


def command(
    action: Annotated[
        Action,
        typer.Argument(
            metavar="env|interrupt",
            help="Instead of running: print the variables of clients, or interrupt a spot job of the server that runs, "
            "as AWS does when it takes instances back.",
            show_default=False,
        ),
    ] = Action.RUN,
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="With interrupt: the name of the job.", show_default=False)
    ] = None,
    *,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on.", rich_help_panel=_ADDRESS)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="0 is any free port.", rich_help_panel=_ADDRESS)
    ] = PORT,
    access_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Requests must be signed with this access key; an address that others can reach needs it.",
            show_default=False,
            rich_help_panel=_ADDRESS,
        ),
    ] = None,
    secret_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with its secret.", show_default=False, rich_help_panel=_ADDRESS),
    ] = None,
    console_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The web console asks for the token in it; with --access-key there is no console without one.",
            show_default=False,
            rich_help_panel=_ADDRESS,
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of everything that is kept.", rich_help_panel=_JOBS)
    ] = DATA,
    region: Annotated[
        str, typer.Option(metavar="REGION", help="Region that the ARNs name.", rich_help_panel=_JOBS)
    ] = "us-east-1",
    slots: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="Jobs that run at once; the others wait. One a GPU, or one for every four cores.",
            show_default=False,
            rich_help_panel=_JOBS,
        ),
    ] = None,
    runner: Annotated[
        RunsOn,
        typer.Option(
            help="Where training jobs run: on this machine, or on a Ray cluster whose machines share --data.",
            rich_help_panel=_JOBS,
        ),
    ] = RunsOn.LOCAL,
    ray_address: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="With --runner ray: the cluster's head, or auto.", rich_help_panel=_JOBS
        ),
    ] = "auto",
    host_cpus: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="With --runner ray: cores of each host of a job.", rich_help_panel=_JOBS),
    ] = 4,
    host_gpus: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="With --runner ray: GPUs of each host of a job; one where the cluster has any.",
            show_default=False,
            rich_help_panel=_JOBS,
        ),
    ] = None,
    s3_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Keep objects in this S3 instead of DIR/s3; its credentials come from the environment.",
            show_default=False,
            rich_help_panel=_JOBS,
        ),
    ] = None,
    sdk_metadata: Annotated[
        bool,
        typer.Option(
            "--sdk-metadata",
            help="With env: write /opt/ml/metadata/resource-metadata.json, from which the SageMaker SDK's "
            "get_execution_role() takes the role.",
            rich_help_panel=_CLIENTS,
        ),
    ] = False,
) -> None:
    """Be the AWS services that code written for SageMaker calls, on this machine; jobs and endpoints really run.

    Everything is kept below --data, objects of S3 as plain files. SIGTERM and Ctrl-C end the server; jobs go on, and
    the next server with the same folder takes them up and starts the endpoints again.

    [bold]Examples[/bold]

    imclass control-plane

    eval "$(imclass control-plane env)"

    imclass control-plane --host 0.0.0.0 --access-key me --secret-key-file secret.txt --console-token-file token.txt

    imclass control-plane interrupt my-spot-job
    """
    if (job is not None) != (action is Action.INTERRUPT):
        raise typer.BadParameter("interrupt needs the name of a job, and nothing else takes one.", param_hint="JOB")
    if action is Action.ENV:
        _print_variables(
            host, port, data, region, access_key, secret_key_file, s3_endpoint, writes_metadata=sdk_metadata
        )
        return
    if job is not None:
        _interrupt(job, host, port, region, access_key, secret_key_file)
        return
    from imclass.address import Address
    from imclass.cli.log_lines import log_lines_on_stderr
    from imclass.sagemaker.control_plane.jobs.ray_runner import RayCluster
    from imclass.sagemaker.control_plane.jobs.slots import default_slots
    from imclass.sagemaker.control_plane.running import run

    with log_lines_on_stderr():
        run(
            Address(host, port),
            data,
            region=region,
            slots=slots or default_slots(),
            access_key=access_key,
            secret_key_file=secret_key_file,
            s3_endpoint=s3_endpoint,
            ray=RayCluster(ray_address, host_cpus, host_gpus) if runner is RunsOn.RAY else None,
            console_token_file=console_token_file,
        )


def _print_variables(
    host: str,
    port: int,
    data: Path,
    region: str,
    access_key: str | None,
    secret_key_file: Path | None,
    s3_endpoint: str | None,
    *,
    writes_metadata: bool,
) -> None:
    from imclass.address import Address
    from imclass.sagemaker.control_plane.api.account import Account
    from imclass.sagemaker.control_plane.api.client_settings import (
        FOLDER,
        client_variables,
        shell_exports,
        write_client_files,
        write_metadata,
    )
    from imclass.sagemaker.control_plane.api.secret import read_secret

    account = Account(region)
    folder = data.absolute() / FOLDER
    write_client_files(folder, account)
    if writes_metadata:
        write_metadata(account)
    secret = None if secret_key_file is None else read_secret(secret_key_file)
    variables = client_variables(Address(host, port).url, account, folder, access_key, secret, s3_endpoint)
    print(shell_exports(variables), end="")


def _interrupt(
    job: str, host: str, port: int, region: str, access_key: str | None, secret_key_file: Path | None
) -> None:
    from imclass.address import Address
    from imclass.sagemaker.control_plane.api.own_client import call
    from imclass.sagemaker.control_plane.api.secret import read_secret

    url, secret = Address(host, port).url, None if secret_key_file is None else read_secret(secret_key_file)
    values = {"TrainingJobName": job}
    call(url, "InterruptTrainingJob", values, region=region, access_key=access_key, secret=secret)
