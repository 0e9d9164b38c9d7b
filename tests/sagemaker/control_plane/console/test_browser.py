"""The console as people use it: a real server, real training jobs, a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.inference.serving.browser import needs_chromium, open_browser
from tests.sagemaker.control_plane.console.sights import SECONDS, Opened, faint_texts, nameless_controls
from tests.sagemaker.control_plane.server import (
    KEY,
    LONG,
    SECRET,
    Server,
    control_plane,
    job,
    wait_for_end,
    wait_for_line,
    write_bucket,
)
from tests.sagemaker.job_folder import HYPERPARAMETERS

pytestmark = [needs_chromium, pytest.mark.timeout(900)]

TOKEN = "a-token-that-nobody-guesses"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a job that failed and one that runs until it is stopped."""
    data = tmp_path_factory.mktemp("plane")
    write_bucket(data)
    with control_plane(data, "--slots", "2") as running:
        page = b"<script>document.title = `ran ${self.origin}`</script>"
        running.client("s3").put_object(Bucket="bucket", Key="page.html", Body=page, ContentType="text/html")
        sagemaker = running.client("sagemaker")
        sagemaker.create_training_job(**job("wrong", {**HYPERPARAMETERS, "num_classes": "many"}))
        sagemaker.create_training_job(**job("runs", LONG))
        wait_for_end(sagemaker, "wrong")
        try:
            yield running
        finally:
            if sagemaker.describe_training_job(TrainingJobName="runs")["TrainingJobStatus"] == "InProgress":
                sagemaker.stop_training_job(TrainingJobName="runs")
            wait_for_end(sagemaker, "runs")


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Any]:
    contexts = []

    def open_page(path: str, on: Server = server, **context: Any) -> Opened:
        contexts.append(browser.new_context(**context))
        return Opened(contexts[-1].new_page(), on.url, path)

    yield open_page
    for context in contexts:
        context.close()


def test_from_the_overview_to_a_job_that_failed(open_page: Any) -> None:
    seen = open_page("/")
    seen.see("main", "Training jobs")
    seen.page.get_by_role("link", name="wrong", exact=True).click()
    seen.see("h1", "wrong")
    seen.see("#status", "Failed")
    seen.see("#failure", "num_classes")
    seen.see(".log", "num_classes")
    assert seen.page.get_by_role("alert").count() == 1
    assert not seen.page.get_by_role("button", name="Stop wrong").is_visible()
    assert seen.watched.complaints == []
    assert seen.outside_requests() == []


def test_curves_and_log_grow_while_a_job_runs(server: Server, open_page: Any) -> None:
    seen = open_page("/_console/training-jobs/runs")
    wait_for_line(server.client("logs"), server.client("sagemaker"), "runs", "Epoch[0] Validation-accuracy")
    seen.see("#curves", "accuracy")
    seen.see(".log", "Epoch[0] Train-accuracy")
    for changes in (
        "document.querySelector('.log').lastElementChild.textContent",
        "document.querySelector('#curves').innerHTML",
        "document.querySelector('#figures').textContent.match(/\\d+ of 5000/)[0]",
    ):
        before = seen.page.evaluate(changes)
        seen.page.wait_for_function(f"before => {changes} !== before", arg=before, timeout=SECONDS)
    log = seen.page.locator(".log")
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 40, "the newest line is seen"
    assert seen.watched.complaints == []
    assert seen.outside_requests() == []


def test_what_is_open_stays_open_while_the_page_changes(server: Server, open_page: Any) -> None:
    wait_for_line(server.client("logs"), server.client("sagemaker"), "runs", "Epoch[0] Validation-accuracy")
    seen = open_page("/_console/training-jobs/runs")
    seen.page.get_by_text("Values", exact=True).click()
    seen.see("#values", "Epoch")
    rows = seen.count("#values tbody tr")
    seen.page.wait_for_function(
        "rows => document.querySelectorAll('#values tbody tr').length > rows", arg=rows, timeout=SECONDS
    )
    assert seen.page.locator("#values").is_visible()


def test_a_page_keeps_a_limited_number_of_lines(server: Server, open_page: Any) -> None:
    wait_for_line(server.client("logs"), server.client("sagemaker"), "runs", "Epoch[0] Validation-accuracy")
    seen = open_page("/_console/training-jobs/runs")
    seen.see(".log", "Epoch[")
    empty = "Array.from({ length: 5000 }, () => document.createElement('div'))"
    seen.page.evaluate(f"() => document.querySelector('.log').append(...{empty})")
    seen.page.wait_for_function("() => document.querySelectorAll('.log > div').length === 2000", timeout=SECONDS)
    seen.see("#log", "Earlier lines are left out.")


def test_a_server_that_is_gone_is_said_and_asked_again(open_page: Any) -> None:
    seen = open_page("/")
    seen.see("main", "runs")
    seen.page.context.set_offline(True)
    seen.see("#connection", "The server cannot be reached.")
    seen.page.context.set_offline(False)
    seen.page.wait_for_function("() => document.querySelector('#connection').textContent === ''", timeout=SECONDS)


def test_the_keyboard_alone_is_enough(open_page: Any) -> None:
    seen = open_page("/")
    seen.see("main", "wrong")
    focused = "() => document.activeElement.textContent.trim()"
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate(focused) == "Skip to the content"
    seen.page.keyboard.press("Enter")
    for _ in range(12):
        if seen.page.evaluate(focused) == "wrong":
            break
        seen.page.keyboard.press("Tab")
    outline = seen.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one sees where the focus is"
    for _ in range(2):  # a refresh comes, and leaves the focus where it is; the second shows that the first is done
        seen.page.wait_for_event("requestfinished", lambda request: urlsplit(request.url).path == "/", timeout=SECONDS)
    assert seen.page.evaluate(focused) == "wrong"
    seen.page.keyboard.press("Enter")
    seen.see("h1", "wrong")


def test_objects_are_shown_without_the_rights_of_the_console(open_page: Any) -> None:
    seen = open_page("/_console/s3/bucket")
    seen.page.get_by_role("link", name="page.html", exact=True).click()
    seen.page.wait_for_function("() => document.title === 'ran null'", timeout=SECONDS)
    with seen.page.expect_download() as download:
        seen.page.go_back()
        seen.page.get_by_role("link", name="Download page.html").click()
    assert download.value.suggested_filename == "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("is_phone", [False, True])
@pytest.mark.parametrize("path", ["/", "/_console/training-jobs/runs", "/_console/s3/bucket"])
def test_nothing_is_cut_off_and_all_text_can_be_read(open_page: Any, path: str, is_phone: bool, scheme: str) -> None:
    context = PHONE if is_phone else {"viewport": {"width": 1280, "height": 800}}
    seen = open_page(path, color_scheme=scheme, **context)
    seen.see("h1", re.compile(r"Overview|runs|bucket"))
    assert seen.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert faint_texts(seen.page) == []
    assert nameless_controls(seen.page) == []


def test_a_token_and_then_a_job_is_stopped(browser: Any, tmp_path: Path, open_page: Any) -> None:
    write_bucket(tmp_path)
    secret, token = tmp_path / "secret.txt", tmp_path / "token.txt"
    secret.write_text(SECRET)
    token.write_text(f"{TOKEN}\n")
    options = ("--access-key", KEY, "--secret-key-file", str(secret), "--console-token-file", str(token))
    with control_plane(tmp_path, *options) as server:
        server.client("sagemaker").create_training_job(**job("guarded", LONG))
        seen = open_page("/_console/training-jobs/guarded", server)
        seen.see("h1", "Sign in")
        seen.page.get_by_label("Token").fill("a wrong token")
        seen.page.get_by_role("button", name="Sign in").click()
        seen.see(".problem", "This is not the token of this console.")
        seen.page.get_by_label("Token").fill(TOKEN)
        seen.page.keyboard.press("Enter")
        seen.see("h1", "guarded")
        assert seen.page.evaluate("() => document.cookie") == "", "no script reads the session"
        seen.page.locator("summary", has_text="Stop").click()
        seen.page.get_by_role("button", name="Stop guarded").click()
        seen.see("#status", re.compile("Stopp(ing|ed)"))
        wait_for_end(server.client("sagemaker"), "guarded")
        seen.see("#status", "Stopped")
        seen.page.get_by_role("button", name="Sign out").click()
        seen.see("h1", "Sign in")
        assert TOKEN not in (tmp_path / "server.log").read_text()
