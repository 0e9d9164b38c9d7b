"""The console in process: which requests are its own, its pages, and what is in them."""

import re
from pathlib import Path
from typing import Any

import pytest

from imclass.sagemaker.control_plane.api.service_models import service_model
from imclass.sagemaker.control_plane.console.application import is_for_console
from imclass.sagemaker.control_plane.console.sections import SECTIONS
from imclass.sagemaker.control_plane.console.words import duration, member, size
from imclass.sagemaker.control_plane.operations.training_jobs import OPERATIONS
from tests.sagemaker.control_plane.console.answers import COMPILATIONS, ENDPOINTS, MODELS, TUNING
from tests.sagemaker.control_plane.console.parts import BROWSER, House
from tests.sagemaker.control_plane.server import channel

HOSTILE = "<script>alert(1)</script>'\"&{{7*7}}"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# ------------------------------------------------------------------------------------ which requests are for it


def scope(path: str, method: str = "GET", query: str = "", **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}


@pytest.mark.parametrize(
    ("request_scope", "is_console"),
    [
        (scope("/", accept=BROWSER["accept"]), True),
        (scope("/", "HEAD", accept="text/html"), True),
        (scope("/"), False),
        (scope("/", accept="*/*"), False),
        (scope("/", "POST", accept="text/html"), False),
        (scope("/", accept="text/html", authorization="AWS4-HMAC-SHA256 x"), False),
        (scope("/", accept="text/html", x_amz_date="20260101T000000Z"), False),
        (scope("/", query="X-Amz-Algorithm=AWS4-HMAC-SHA256", accept="text/html"), False),
        (scope("/bucket", accept="text/html"), False),
        (scope("/_console/training-jobs"), True),
        (scope("/_console"), True),
        (scope("/_consoles", accept="text/html"), False),
        (scope("/", accept="text/html", host="bucket.localhost:4566"), False),
        (scope("/_console/s3", host="bucket.s3.localhost"), False),
        (scope("/", accept="text/html", host="localhost:4566"), True),
    ],
)
def test_browsers_get_the_console_and_clients_of_aws_get_s3(request_scope: dict[str, Any], is_console: bool) -> None:
    assert is_for_console(request_scope) == is_console


# ---------------------------------------------------------------------------------------------- what all pages have


def test_a_page_may_load_nothing_but_its_own_style_and_script(house: House) -> None:
    visitor = house.console()
    response = visitor.ask("GET", "/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "'self'" not in re.search(r"script-src ([^;]*)", policy)[1], "S3's objects have the same origin"  # type: ignore[index]
    nonces = set(re.findall(r'nonce="([^"]+)"', response.text))
    assert len(nonces) == 1
    assert policy.count(f"'nonce-{nonces.pop()}'") == 2
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    outside = set(re.findall(r"(?:src|href|action)=\"(?!/|#|data:)([^\"]*)", response.text))
    assert outside == set()
    assert 'style="' not in response.text, "the policy would not let it"
    assert visitor.ask("GET", "/").headers["content-security-policy"] != policy


def test_style_and_script_may_be_kept_for_ever_because_their_addresses_change(house: House) -> None:
    visitor = house.console()
    addresses = re.findall(r'(?:href|src)="(/_console/console\.[^"]+)"', visitor.page("/"))
    assert len(addresses) == 2
    for address in addresses:
        response = visitor.ask("GET", address.replace("&amp;", "&"))
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["content-type"].startswith(("text/css", "text/javascript"))


def test_only_what_the_server_offers_is_shown(house: House) -> None:
    assert "Tuning jobs" not in house.console().see("/")
    house.console().page("/_console/tuning-jobs", 404)
    all_of_them = house.console({**OPERATIONS, **TUNING, **ENDPOINTS, **MODELS}).see("/")
    assert all(title in all_of_them for title in ("Training jobs", "Tuning jobs", "Endpoints", "Models"))
    assert "Transform jobs" not in all_of_them


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.path)
def test_sections_name_operations_and_members_that_there_are(section: Any) -> None:
    model = service_model("sagemaker")
    told = model.operation_model(section.describe_operation).output_shape.members
    listed = model.operation_model(section.list_operation).output_shape.members[section.items].member.members
    asked = model.operation_model(section.list_operation).input_shape.members
    assert {section.name, "CreationTime"} <= set(told) & set(listed)
    assert {"SortBy", "SortOrder", "MaxResults", "NameContains", "NextToken"} <= set(asked)
    if section.status:
        assert section.status in told
        assert section.status in listed
        assert section.alive in model.shape_for(section.states).enum
        assert "StatusEquals" in asked
    if section.ended:
        assert section.ended in listed
    if section.action:
        assert section.name in model.operation_model(section.action.operation).input_shape.members
        assert set(section.action.statuses) <= set(model.shape_for(section.states).enum)


def test_everything_is_escaped(house: House) -> None:
    house.add_job(
        "job",
        "Failed",
        HyperParameters={"epochs": HOSTILE},
        FailureReason=HOSTILE,
        InputDataConfig=[channel("train", f"s3://bucket/{HOSTILE}")],
    )
    house.write_log("job", HOSTILE, f"Epoch[0] Train-accuracy={HOSTILE}", "Epoch[0] Train-accuracy=0.5")
    house.store.create_bucket("bucket")
    for key in (HOSTILE, f"{HOSTILE}/below"):
        with (house.store.folder / "empty").open("w+b") as empty:
            house.store.put_file("bucket", key, empty)
    visitor = house.console()
    pages = ["/_console/training-jobs/job", "/_console/training-jobs", "/_console/s3/bucket"]
    for path in pages:
        page = visitor.page(path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;" in page
    assert "{{7*7}}" in visitor.page(pages[0]), "no text is a template"
    lines = visitor.ask("GET", f"/_console/training-jobs/job/log?stream={house.write_log('job')}")
    assert lines.headers["content-type"] == "application/json"
    page = visitor.page("/_console/training-jobs?contains=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", 400)
    assert "<script>alert" not in page
    page = visitor.page("/_console/training-jobs/%3Cscript%3Ealert(1)", 400)
    assert "<script>alert" not in page


# ------------------------------------------------------------------------------------------------- training jobs


def test_jobs_are_listed_filtered_and_paged(house: House) -> None:
    for number in range(30):
        status = "Failed" if number == 3 else "InProgress"
        house.add_job(f"job-{number}", status)
    visitor = house.console()
    first = visitor.page("/_console/training-jobs")
    assert first.count('<th scope="row">') == 25
    (following,) = re.findall(r'href="([^"]+)">Earlier ones', first)
    assert visitor.page(following.replace("&amp;", "&")).count('<th scope="row">') == 5
    assert visitor.page("/_console/training-jobs?status=Failed").count('<th scope="row">') == 1
    assert visitor.page("/_console/training-jobs?contains=job-2").count('<th scope="row">') == 11
    assert "There are none." in visitor.see("/_console/training-jobs?contains=nothing")


def test_the_list_tells_how_jobs_went(house: House) -> None:
    house.add_job("good", "Completed", FinalMetricDataList=[{"MetricName": "validation:accuracy", "Value": 0.875}])
    house.add_job("bad", "Failed", FailureReason="ClientError: num_classes, exit code: 2")
    house.add_job("busy")
    seen = house.console().see("/")
    for words in ("validation:accuracy 0.8750", "ClientError: num_classes", "busy InProgress", "1 in progress"):
        assert words in seen


def test_a_job_with_its_curves_and_its_log(house: House) -> None:
    house.add_job("job")
    visitor = house.console()
    before = visitor.page("/_console/training-jobs/job")
    assert "No epoch has ended yet." in before
    assert "There is no log yet." in before
    assert 'data-refresh-seconds="2.0"' in before
    house.write_log(
        "job",
        "Epoch[0] Batch [20]\tSpeed: 189.789 samples/sec\taccuracy=0.5",
        "Epoch[0] Train-accuracy=0.250000",
        "Epoch[0] Validation-accuracy=0.500000",
        "Epoch[1] Train-accuracy=0.750000",
        "Epoch[1] Validation-accuracy=0.400000",
    )
    page = visitor.page("/_console/training-jobs/job")
    seen = visitor.see("/_console/training-jobs/job")
    for words in (
        "epochs 2 of 3",
        "train accuracy 0.7500",
        "validation accuracy 0.4000",
        "best, in epoch 0 0.5000",
        "images/s, epoch 0, batch 20 190",
        "Train, epoch 1: 0.75",
        "Validation, epoch 0: 0.5",
        "Speed: 189.789 samples/sec",
        "mini_batch_size 12",
        "channel train s3://bucket/train/",
        "s3://bucket/output/job/output/model.tar.gz when it is done",
        "Training image download completed. Training in progress.",
    ):
        assert words in seen
    assert page.count('class="dot s0"') == page.count('class="dot s1"') == 2
    assert "/_console/s3/bucket?prefix=train%2F" in page


def test_the_log_is_followed(house: House) -> None:
    house.add_job("job")
    stream = house.write_log("job", "one")
    visitor = house.console()
    (after,) = re.findall(r'data-after="(\d+)"', visitor.page("/_console/training-jobs/job"))
    house.write_log("job", "two\twords")
    address = f"/_console/training-jobs/job/log?stream={stream}"
    answer = visitor.ask("GET", f"{address}&after={after}").json()
    assert [message for _, message in answer["lines"]] == ["two#011words"]
    assert visitor.ask("GET", f"{address}&after={answer['after']}").json()["lines"] == []
    assert visitor.ask("GET", f"{address}&after=1").status_code == 400
    assert visitor.ask("GET", f"{address}&after=x").status_code == 400
    for wrong in ("job/nothing-1", "../../secret", "job/../job/algo-1-1", ""):
        assert visitor.ask("GET", f"/_console/training-jobs/job/log?stream={wrong}").status_code == 404


def test_the_streams_of_all_hosts_can_be_chosen(house: House) -> None:
    house.add_job("job")
    house.write_log("job", "Epoch[0] Train-accuracy=0.5", "of the first")
    second = house.write_log("job", "Epoch[0] Train-accuracy=0.5", "of the second", host="algo-2")
    visitor = house.console()
    seen = visitor.see("/_console/training-jobs/job")
    assert "of the first" in seen
    assert "of the second" not in seen
    assert "of the second" in visitor.see(f"/_console/training-jobs/job?stream={second}")


def test_the_log_of_a_compilation_job_is_one_stream(house: House) -> None:
    log = house.logs_folder / "aws/sagemaker/CompilationJobs/compiled-2026.log"
    log.parent.mkdir(parents=True)
    log.write_text("1795000000000 Compiling for ml_m4 with OpenVINO\n")
    visitor = house.console(COMPILATIONS)
    assert "Compiling for ml_m4 with OpenVINO" in visitor.see("/_console/compilation-jobs/compiled-2026")
    assert "There is no log" in visitor.see("/_console/compilation-jobs/compiled")


def test_what_an_earlier_job_of_the_same_name_has_printed_is_not_shown(house: House) -> None:
    old = house.logs_folder / "aws/sagemaker/TrainingJobs/job/algo-1-1700000000.log"
    old.parent.mkdir(parents=True)
    old.write_text("1700000000000 Epoch[0] Train-accuracy=0.125\n")
    house.add_job("job")
    seen = house.console().see("/_console/training-jobs/job")
    assert "0.125" not in seen
    assert "There is no log" in seen


def test_a_job_that_does_not_exist(house: House) -> None:
    assert "Requested resource not found." in house.console().see("/_console/training-jobs/nothing", 400)


# -------------------------------------------------------------------------------------------------- other sections


def test_a_tuning_job_with_its_trials(house: House) -> None:
    visitor = house.console({**OPERATIONS, **TUNING})
    page, seen = visitor.page("/_console/tuning-jobs/tune"), visitor.see("/_console/tuning-jobs/tune")
    assert "best validation:accuracy, of trial 3 0.7500" in seen
    assert "completed 3 of 6" in seen
    assert "3 best t-003 Completed 0.750000 0.001 64 adam" in seen
    assert seen.index("t-005") < seen.index("t-001"), "the latest trial is on top"
    titles = re.findall(r"<figcaption>\s*([^<]+?)\s*<", page)
    assert titles == [
        "validation:accuracy of the trials",
        "validation:accuracy over learning_rate",
        "validation:accuracy over mini_batch_size",
        "validation:accuracy over optimizer",
    ]
    assert "trial, learning_rate 0.001: 0.75" in page
    assert "trial, optimizer adam: 0.625" in page
    assert "5 training jobs" not in seen
    assert "4 of 5 training jobs have ended" in visitor.see("/_console/tuning-jobs")


def test_an_endpoint_and_its_configuration(house: House) -> None:
    visitor = house.console({**OPERATIONS, **ENDPOINTS})
    seen = visitor.see("/_console/endpoints/birds")
    assert "blue 1 of 2 1.0" in seen
    assert "bird-model" in seen
    assert "The endpoint answers no requests now." in seen, "there is no runtime here"
    assert "1 in service" in visitor.see("/")


def test_an_endpoint_links_to_its_model(house: House) -> None:
    link = 'href="/_console/models/bird-model"'
    path = "/_console/endpoints/birds"
    assert link in house.console({**OPERATIONS, **ENDPOINTS, **MODELS}).page(path)
    assert link not in house.console({**OPERATIONS, **ENDPOINTS}).page(path)


def test_a_model_links_to_its_archive(house: House) -> None:
    page = house.console({**OPERATIONS, **MODELS}).page("/_console/models/bird-model")
    assert 'href="/_console/s3/bucket?prefix=output%2Fa%2Foutput%2Fmodel.tar.gz"' in page


# ------------------------------------------------------------------------------------------------------------ S3


@pytest.fixture
def filled(house: House, tmp_path: Path) -> House:
    house.store.create_bucket("bucket")
    for key, content in (("a b/page.html", b"<h1>me</h1>"), ("a b/deep/er", b""), ("top 100%.txt", b"x" * 2048)):
        file = tmp_path / "content"
        file.write_bytes(content)
        with file.open("rb") as stream:
            house.store.put_file("bucket", key, stream)
    return house


def test_s3_is_looked_through(filled: House) -> None:
    visitor = filled.console()
    assert "bucket" in visitor.see("/_console/s3")
    page = visitor.page("/_console/s3/bucket")
    assert 'href="/_console/s3/bucket?prefix=a%20b%2F"' in page
    assert "top 100%.txt 2.0 KiB" in visitor.see("/_console/s3/bucket")
    below = visitor.page("/_console/s3/bucket?prefix=a%20b%2F")
    assert 'href="/_console/s3/bucket/a%20b/page.html"' in below
    assert "deep/" in below
    visitor.page("/_console/s3/nothing", 404)
    assert visitor.ask("GET", "/_console/s3/bucket/nothing").status_code == 404


def test_long_lists_have_pages(house: House) -> None:
    house.store.create_bucket("bucket")
    folder = house.store.bucket_folder("bucket")
    for number in range(250):
        (folder / f"{number:03d}").touch()
    visitor = house.console()
    (following,) = re.findall(r'<a href="([^"]+)">More', visitor.page("/_console/s3/bucket"))
    assert visitor.page(following.replace("&amp;", "&")).count('<th scope="row">') == 50


def test_objects_are_no_pages_of_the_console(filled: House) -> None:
    visitor = filled.console()
    shown = visitor.ask("GET", "/_console/s3/bucket/a%20b/page.html")
    assert shown.content == b"<h1>me</h1>"
    assert shown.headers["content-security-policy"] == "sandbox allow-scripts"
    assert shown.headers["x-content-type-options"] == "nosniff"
    saved = visitor.ask("GET", "/_console/s3/bucket/top%20100%25.txt?download")
    assert saved.content == b"x" * 2048
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''top%20100%25.txt"


# --------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("value", "words"),
    [(-1, "0 s"), (0.4, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90061, "1 d 1 h")],
)
def test_durations(value: float, words: str) -> None:
    assert duration(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_sizes(value: int, words: str) -> None:
    assert size(value) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("InputDataConfig", "Input data config"),
        ("S3OutputPath", "S3 output path"),
        ("RoleArn", "Role arn"),
        ("AWSAccount", "AWS account"),
    ],
)
def test_names_of_members(name: str, words: str) -> None:
    assert member(name) == words
