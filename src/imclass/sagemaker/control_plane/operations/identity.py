"""Who the caller is: the few operations of STS and IAM that the SageMaker SDK and the AWS CLI begin with.

There is one caller, who acts in one role. Any role of this account can be asked for or assumed, and is that one.
"""

import secrets
from datetime import UTC, datetime, timedelta

from imclass.sagemaker.control_plane.api.account import ROLE_ID
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values

SESSION_SECONDS = 3600
SINCE = datetime(2018, 1, 1, tzinfo=UTC)
"""When the role was made: before anything that was done in it."""


def get_caller_identity(plane: Plane, request: Values) -> Values:
    return {"UserId": f"{ROLE_ID}:SageMaker", "Account": plane.account.number, "Arn": plane.account.session_arn}


def assume_role(plane: Plane, request: Values) -> Values:
    """Credentials of the form that clients expect. They sign nothing that a server with credentials would accept."""
    session = request["RoleSessionName"]
    lifetime = timedelta(seconds=request.get("DurationSeconds", SESSION_SECONDS))
    role = request["RoleArn"].rpartition("/")[2]
    return {
        "Credentials": {
            "AccessKeyId": f"ASIA{secrets.token_hex(8).upper()}",
            "SecretAccessKey": secrets.token_hex(20),
            "SessionToken": secrets.token_hex(32),
            "Expiration": datetime.now(UTC) + lifetime,
        },
        "AssumedRoleUser": {
            "AssumedRoleId": f"{ROLE_ID}:{session}",
            "Arn": f"arn:aws:sts::{plane.account.number}:assumed-role/{role}/{session}",
        },
    }


def get_role(plane: Plane, request: Values) -> Values:
    name = request["RoleName"]
    return {
        "Role": {
            "Path": "/",
            "RoleName": name,
            "RoleId": ROLE_ID,
            "Arn": f"arn:aws:iam::{plane.account.number}:role/{name}",
            "CreateDate": SINCE,
        }
    }


STS_OPERATIONS: dict[str, Operation] = {"GetCallerIdentity": get_caller_identity, "AssumeRole": assume_role}
IAM_OPERATIONS: dict[str, Operation] = {"GetRole": get_role}
