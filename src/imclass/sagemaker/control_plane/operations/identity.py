"""Who the caller is: the few operations of STS and IAM that the SageMaker SDK and the AWS CLI begin with.

There is one caller, who acts in one role. Any role of this account can be asked for or assumed, and is that one.
"""

from datetime import UTC, datetime, timedelta

from imclass.sagemaker.control_plane.api.account import ROLE_ID
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values

SESSION_SECONDS = 3600
SINCE = datetime(2018, 1, 1, tzinfo=UTC)
"""When the role was made: before anything that was done in it."""


def get_caller_identity(plane: Plane, request: Values) -> Values:
    return {"UserId": f"{ROLE_ID}:SageMaker", "Account": plane.account.number, "Arn": plane.account.session_arn}


def assume_role(plane: Plane, request: Values) -> Values:
    """Credentials of the one user that hold for a while. Servers without credentials take them as they take all."""
    session = request["RoleSessionName"]
    credentials = plane.sessions.begin(timedelta(seconds=request.get("DurationSeconds", SESSION_SECONDS)))
    role = request["RoleArn"].rpartition("/")[2]
    return {
        "Credentials": {
            "AccessKeyId": credentials.access_key,
            "SecretAccessKey": credentials.secret_key,
            "SessionToken": credentials.token,
            "Expiration": credentials.expiration,
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
