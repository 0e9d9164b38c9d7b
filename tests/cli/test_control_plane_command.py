"""`imclass control-plane env`: what brings clients to the server."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imclass.cli import app


def variables(text: str) -> dict[str, str]:
    """What a shell makes of the lines."""
    shell = subprocess.run(["env", "-i", "sh", "-c", f"{text}\nenv"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in shell.stdout.splitlines())


def test_variables_and_files_of_clients(tmp_path: Path) -> None:
    data = tmp_path / "it's data"
    secret = tmp_path / "secret.txt"
    secret.write_text("a-secret-of-many-letters\n")
    options = ["--data", str(data), "--port", "4599", "--region", "eu-west-1"]
    credentials = ["--access-key", "me", "--secret-key-file", str(secret)]
    result = CliRunner().invoke(app, ["control-plane", "env", *options, *credentials])
    assert result.exit_code == 0, result.output
    found = variables(result.output)
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4599"
    assert found["AWS_DEFAULT_REGION"] == found["AWS_REGION"] == "eu-west-1"
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("me", "a-secret-of-many-letters")
    session = json.loads(Path(found["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text())["SageMaker"]["PythonSDK"]["Modules"]
    assert session["Session"]["DefaultS3Bucket"] == "sagemaker-eu-west-1-000000000000"
    assert session["TelemetryOptOut"] is True
    assert Path(found["PIP_CONSTRAINT"]).read_text() == "sagemaker<3\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--access-key", "me"], "credentials have two halves"),
        (["--region", "mars"], "'mars' is not the name of a region"),
        (["--host", "0.0.0.0"], "anyone there could run jobs"),
    ],
)
def test_a_server_that_cannot_be(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["control-plane", "--data", str(tmp_path / "data"), *options])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "data").exists()


def test_a_secret_that_is_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("short\n")
    options = ["--access-key", "me", "--secret-key-file", str(secret), "--data", str(tmp_path / "data")]
    result = CliRunner().invoke(app, ["control-plane", *options])
    assert result.exit_code == 2
    assert "the file holds no secret access key" in result.output
