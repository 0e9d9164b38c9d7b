"""Settings of S3 from variables and profile files."""

from pathlib import Path

import pytest

from imclass.data.remote.credentials import s3_config
from imclass.errors import DataError

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id = d\naws_secret_access_key = D%x\n"
        "[lab]\naws_access_key_id = l\naws_secret_access_key = L\naws_session_token = T\n"
    )
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = eu-west-1\n[profile lab]\nendpoint_url = http://lab:9000\nregion = lab-1\n"
        "[profile staff]\nsso_session = company\n[profile broken]\naws_access_key_id = only\n"
    )
    return {"HOME": str(tmp_path)}


def test_variables_come_first(home: dict[str, str]) -> None:
    variables = {
        "AWS_SESSION_TOKEN": "token",
        "AWS_DEFAULT_REGION": "a",
        "AWS_REGION": "b",
        "AWS_ENDPOINT_URL": "http://x",
    }
    assert s3_config({**home, **KEYS, **variables, "AWS_ENDPOINT_URL_S3": "http://s3"}) == {
        "region": "b",
        "endpoint": "http://s3",
        "access_key_id": "id",
        "secret_access_key": "secret",
        "session_token": "token",
    }


def test_profiles(home: dict[str, str]) -> None:
    assert s3_config(home) == {"region": "eu-west-1", "access_key_id": "d", "secret_access_key": "D%x"}
    assert s3_config({**home, "AWS_PROFILE": "lab"}) == {
        "region": "lab-1",
        "endpoint": "http://lab:9000",
        "access_key_id": "l",
        "secret_access_key": "L",
        "session_token": "T",
    }


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_PROFILE": "nobody"}, "there is no profile 'nobody'"),
        ({"AWS_PROFILE": "staff"}, "takes its credentials from sso_session"),
        ({"AWS_PROFILE": "broken"}, "aws_access_key_id is given without aws_secret_access_key"),
        ({"AWS_ACCESS_KEY_ID": "id"}, "AWS_ACCESS_KEY_ID is given without AWS_SECRET_ACCESS_KEY"),
        ({"HOME": "/nowhere", **NO_METADATA}, "no credentials were found"),
    ],
)
def test_mistakes(home: dict[str, str], variables: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        s3_config({**home, **variables})


def test_a_damaged_file(home: dict[str, str]) -> None:
    (Path(home["HOME"]) / ".aws/config").write_text("region = nothing above\n")
    with pytest.raises(DataError, match="the file of profiles cannot be read"):
        s3_config(home)


def test_without_keys() -> None:
    nowhere = {"HOME": "/nowhere"}
    assert s3_config({**nowhere, "AWS_SKIP_SIGNATURE": "true"})["skip_signature"] == "true"
    assert s3_config({**nowhere, "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}) == {"region": "us-east-1"}
