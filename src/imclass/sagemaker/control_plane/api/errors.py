"""Errors that a caller is answered with, by AWS's codes and in its words."""

from collections.abc import Sequence

from imclass.sagemaker.control_plane.api.account import Account


class ApiError(Exception):
    """A request that is refused.

    Args:
        code: such as ValidationException.
        message: for people; some clients look for its words.
        status: of HTTP. Clients repeat what is answered with 5xx, so that no caller's mistake may have such a one.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{code}: {message}")


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def constraints_failed(failures: Sequence[str]) -> ApiError:
    """All that is wrong with the members of a request."""
    errors = "error" if len(failures) == 1 else "errors"
    return invalid(f"{len(failures)} validation {errors} detected: {'; '.join(failures)}")


def malformed(message: str) -> ApiError:
    """A request that is not even of the right form."""
    return ApiError("SerializationException", message)


def unknown_operation(name: str, offered: Sequence[str]) -> ApiError:
    return ApiError(
        "UnknownOperationException",
        f"This server does not offer the operation {name!r}. It offers: {', '.join(sorted(offered))}.",
        404,
    )


def job_not_found(_name: str) -> ApiError:
    """Of training and transform jobs; the model of the service names another code, and AWS's answer is this one."""
    return invalid("Requested resource not found.")


def no_objects(uri: str, bucket: str, role: str, account: Account) -> ApiError:
    return invalid(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f"the selected region ({account.region}), that objects exist under that S3 prefix, and that the role "
        f'"{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def model_data_missing(address: str) -> ApiError:
    return invalid(f"Could not find model data at {address}.")


def not_found(kind: str, arn: str) -> ApiError:
    """Of a model, an endpoint configuration or an endpoint; clients look for the first three words."""
    return invalid(f'Could not find {kind} "{arn}".')


def exists_already(kind: str, arn: str) -> ApiError:
    """Likewise; the SageMaker SDK goes on with a model of which it is told this."""
    return invalid(f'Cannot create already existing {kind} "{arn}".')
