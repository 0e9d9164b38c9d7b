"""Requests of the command line to a control plane that runs."""

import json
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from imclass.errors import UserError
from imclass.sagemaker.control_plane.api.own_service import TARGET
from imclass.sagemaker.control_plane.api.protocols import JSON

SECONDS = 10.0


def call(
    url: str, operation: str, values: dict[str, Any], *, region: str, access_key: str | None, secret: str | None
) -> None:
    """Ask for an operation of `own_service`.

    Args:
        access_key, secret: None for a server that takes requests of everybody.

    Raises:
        UserError: there is no server, or it refuses.
    """
    headers = {"Content-Type": JSON, "X-Amz-Target": f"{TARGET}.{operation}"}
    request = AWSRequest("POST", url, headers=headers, data=json.dumps(values).encode())
    if access_key is not None and secret is not None:
        SigV4Auth(Credentials(access_key, secret), "sagemaker", region).add_auth(request)
    try:
        response = URLLib3Session(timeout=SECONDS).send(request.prepare())
    except BotoCoreError as error:
        raise UserError(
            f"the control plane does not answer: {error}", where=url, fix="Is it running? --host and --port say where."
        ) from error
    if response.status_code != 200:
        raise UserError(message_of(response.content), where=url)


def message_of(content: bytes) -> str:
    """What an answer says that is an error."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return f"the answer is not one of a control plane: {content[:100]!r}"
