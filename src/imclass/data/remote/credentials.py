"""Settings of S3 from the usual AWS variables and profile files.

Order: variables, then the profile `AWS_PROFILE` (or `default`) in `~/.aws/credentials` and `~/.aws/config`, then
what obstore finds by itself: a web identity, a container's credentials, the machine's role.
"""

import configparser
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from imclass.data.remote.faults import METADATA_SERVICE, NO_CREDENTIALS
from imclass.errors import DataError

DEFAULT_REGION = "us-east-1"
METADATA_SECONDS = 2.0
_FOUND_BY_OBSTORE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_ELSEWHERE = ("role_arn", "sso_session", "sso_start_url", "credential_process")


def s3_config(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Settings for obstore's S3Store; those of credentials are left out where it finds them by itself.

    Raises:
        DataError: no credentials, half a pair of keys, a missing profile, or one of a kind that is not read.
    """
    profile = _profile(environment)
    endpoint = first_endpoint(environment) or profile.get("endpoint_url")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.get("region")
    config = {"region": region or DEFAULT_REGION}
    if endpoint:
        config["endpoint"] = endpoint
    return config | _keys(environment, profile)


def first_endpoint(environment: Mapping[str, str] = os.environ) -> str | None:
    """The S3 endpoint that a variable names; None means AWS, or what the profile says."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((environment[name] for name in names if environment.get(name)), None)


def _keys(environment: Mapping[str, str], profile: Mapping[str, str]) -> dict[str, str]:
    if environment.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1"):
        return {"skip_signature": "true"}
    sources = [
        (environment, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")),
        (profile, ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")),
    ]
    for values, (key_name, secret_name, token_name) in sources:
        key, secret = values.get(key_name), values.get(secret_name)
        if bool(key) != bool(secret):
            missing, given = (secret_name, key_name) if key else (key_name, secret_name)
            raise DataError(f"{given} is given without {missing}", where="credentials", fix=NO_CREDENTIALS)
        if key and secret:
            token = values.get(token_name)
            return {"access_key_id": key, "secret_access_key": secret} | ({"session_token": token} if token else {})
    elsewhere = [name for name in _ELSEWHERE if name in profile]
    if elsewhere:
        raise DataError(
            f"the profile takes its credentials from {elsewhere[0]}, which is not read here",
            where="credentials",
            fix='Put them into variables: eval "$(aws configure export-credentials --format env)".',
        )
    if not any(environment.get(name) for name in _FOUND_BY_OBSTORE) and not _machine_has_role(environment):
        raise DataError("no credentials were found", where="credentials", fix=NO_CREDENTIALS)
    return {}


def _profile(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the profile in both files; those of the credentials file count first."""
    home = Path(environment.get("HOME", "~")).expanduser() / ".aws"
    name = environment.get("AWS_PROFILE") or "default"
    config = _section(environment.get("AWS_CONFIG_FILE") or home / "config", name, f"profile {name}")
    keys = _section(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", name)
    if environment.get("AWS_PROFILE") and config is None and keys is None:
        raise DataError(f"there is no profile {name!r}", where="AWS_PROFILE", fix=f"Look into {home}.")
    return {**(config or {}), **(keys or {})}


def _section(path: str | Path, *names: str) -> dict[str, str] | None:
    """The first section of these names in a file; None if there is none, or no such file."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise DataError("the file of profiles cannot be read", where=str(path)) from error
    return next((dict(parser[name]) for name in names if parser.has_section(name)), None)


def _machine_has_role(environment: Mapping[str, str]) -> bool:
    """Whether a metadata service answers at all: without one, obstore would ask it for minutes."""
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    try:
        with socket.create_connection((METADATA_SERVICE, 80), timeout=METADATA_SECONDS):
            return True
    except OSError:
        return False
