"""What clients of AWS have to know to come here: variables, and the SageMaker SDK's files."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

from imclass.pending_file import PendingFile
from imclass.sagemaker.control_plane.api.account import Account

METADATA = Path("/opt/ml/metadata/resource-metadata.json")
CONSTRAINT = "sagemaker<3\n"
"""The SDK's third version has none of the classes that SageMaker's notebooks use."""
FOLDER = "client"
ANY_KEY = "imclass"
"""boto3 does not send without credentials; a server without any takes all."""


def client_variables(
    url: str,
    account: Account,
    folder: Path,
    access_key: str | None,
    secret: str | None,
    s3_endpoint: str | None = None,
) -> dict[str, str]:
    """Environment variables, by name.

    Args:
        folder: of the files that `write_client_files` writes.
        s3_endpoint: of the S3 that is used instead of our own.
    """
    return {
        "AWS_ENDPOINT_URL": url,
        **({} if s3_endpoint is None else {"AWS_ENDPOINT_URL_S3": s3_endpoint}),
        "AWS_REGION": account.region,
        "AWS_DEFAULT_REGION": account.region,
        "AWS_ACCESS_KEY_ID": access_key or ANY_KEY,
        "AWS_SECRET_ACCESS_KEY": secret or ANY_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "sagemaker-config.yaml"),
        "PIP_CONSTRAINT": str(folder / "pip-constraint.txt"),
    }


def write_client_files(folder: Path, account: Account) -> None:
    """Write the SDK's configuration, which lets it ask nobody else, and a constraint for pip.

    Raises:
        UserError: the folder cannot be written to.
    """
    bucket = f"sagemaker-{account.region}-{account.number}"
    session = {"DefaultS3Bucket": bucket}
    config = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"Session": session, "TelemetryOptOut": True}}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    with PendingFile(folder / "sagemaker-config.yaml") as file:
        file.write(json.dumps(config, indent=2).encode())  # JSON is YAML
    with PendingFile(folder / "pip-constraint.txt") as file:
        file.write(CONSTRAINT.encode())


def write_metadata(account: Account, path: Path = METADATA) -> None:
    """Write the file from which the SDK's `get_execution_role()` takes the role; else it asks AWS itself.

    Raises:
        UserError: it cannot be written.
    """
    with suppress(OSError):  # the file will say what is wrong with its folder
        path.parent.mkdir(parents=True, exist_ok=True)
    with PendingFile(path) as file:
        file.write(json.dumps({"ExecutionRoleArn": account.role_arn}).encode())


def shell_exports(variables: Mapping[str, str]) -> str:
    """Lines for `eval`."""
    return "".join(f"export {name}={quote(value)}\n" for name, value in variables.items())
