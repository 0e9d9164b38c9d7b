"""Documents that survive, in an SQLite file."""

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.sagemaker.control_plane.store.state import (
    DATABASE,
    DuplicateError,
    MissingError,
    Selection,
    State,
    opened_state,
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with opened_state(tmp_path) as opened:
        yield opened


def add(state: State, name: str, status: str = "InProgress", **tags: str) -> None:
    state.add("job", name, f"arn:{name}", status, {"Name": name}, tags)


def test_a_document_comes_back(state: State) -> None:
    add(state, "a", team="vision")
    document = state.get("job", "a")
    assert document["CreationTime"] == document["LastModifiedTime"]
    assert (document["Name"], document["status"]) == ("a", "InProgress")
    assert state.has_arn("arn:a")
    assert state.tags("arn:a") == {"team": "vision"}


def test_names_are_taken_once(state: State) -> None:
    add(state, "a", team="vision")
    with pytest.raises(DuplicateError):
        add(state, "a", team="other")
    assert state.tags("arn:a") == {"team": "vision"}
    state.add("model", "a", "arn:model", "", {}, {})


def test_changes_are_kept_and_failed_ones_are_not(state: State) -> None:
    add(state, "a")
    with state.changing("job", "a") as document:
        document["status"] = "Completed"
        document["more"] = [1]
    with pytest.raises(ZeroDivisionError), state.changing("job", "a") as document:
        document["status"] = 1 / 0
    kept = state.get("job", "a")
    assert (kept["status"], kept["more"]) == ("Completed", [1])
    assert kept["LastModifiedTime"] > kept["CreationTime"]


def test_what_is_removed_is_gone_with_its_tags(state: State) -> None:
    add(state, "a", team="vision")
    state.remove("job", "a")
    assert state.tags("arn:a") == {}
    for call in (state.get, state.remove):
        with pytest.raises(MissingError):
            call("job", "a")
    with pytest.raises(MissingError), state.changing("job", "a"):
        pass


def test_tags(state: State) -> None:
    add(state, "a")
    state.add_tags("arn:a", {"x": "1", "y": "2"})
    state.add_tags("arn:a", {"x": "3"})
    state.remove_tags("arn:a", ["y", "z"])
    assert state.tags("arn:a") == {"x": "3"}


@pytest.mark.parametrize("sort_by", ["CreationTime", "Name", "Status"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_hold_everything_once(state: State, sort_by: str, descending: bool) -> None:
    names = [f"job-{number}" for number in range(7)]
    for name in names:
        add(state, name, "InProgress" if name < "job-4" else "Failed")
    found, after = [], None
    while True:
        page = state.select("job", Selection(sort_by=sort_by, descending=descending, after=after, limit=3))
        found += [document["Name"] for document in page.documents]
        if (after := page.after) is None:
            break
    expected = sorted(names, key=lambda name: (name < "job-4", name)) if sort_by == "Status" else names
    assert found == (expected[::-1] if descending else expected)


def test_selections(state: State) -> None:
    for name, status in (("cat", "Failed"), ("Cattle", "Completed"), ("dog", "Failed")):
        add(state, name, status)

    def names(selection: Selection) -> list[str]:
        return [document["Name"] for document in state.select("job", selection).documents]

    assert names(Selection(name_contains="CAT")) == ["cat", "Cattle"]
    assert names(Selection(status="Failed")) == ["cat", "dog"]
    between = state.get("job", "cat")["CreationTime"], state.get("job", "dog")["CreationTime"]
    assert names(Selection(created=between)) == ["Cattle"]
    assert [document["Name"] for document in state.of_status("job", "Failed")] == ["cat", "dog"]


def test_threads_do_not_lose_changes(state: State) -> None:
    add(state, "a")

    def count() -> None:
        for _ in range(25):
            with state.changing("job", "a") as document:
                document["number"] = document.get("number", 0) + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.get("job", "a")["number"] == 100


def add_and_die(folder: Path) -> None:
    with opened_state(folder) as state:
        add(state, "kept")
        with state.changing("job", "kept") as document:
            document["half"] = True
            os._exit(9)


def test_what_was_acknowledged_survives_the_end_of_the_process(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=add_and_die, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    with opened_state(tmp_path) as state:
        assert "half" not in state.get("job", "kept")


def test_a_folder_has_one_user(tmp_path: Path) -> None:
    with (
        opened_state(tmp_path),
        pytest.raises(UserError, match="another control plane uses this data folder"),
        opened_state(tmp_path),
    ):
        pass
    with opened_state(tmp_path):
        pass


def test_data_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(UserError, match="later version of imclass"), opened_state(tmp_path):
        pass
