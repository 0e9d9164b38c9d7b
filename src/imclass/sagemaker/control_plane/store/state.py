"""What the control plane remembers, in an SQLite file that survives the end of the process at any moment.

A resource (a job, a model, an endpoint) is one document in JSON, found by its kind and name. Its members are those of
SageMaker's Describe operation, with times as seconds since 1970; names that begin with a small letter are ours.
"""

import fcntl
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from imclass.errors import UserError

DATABASE = "state.sqlite"
LOCK = "lock"
BUSY_SECONDS = 30.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    arn TEXT NOT NULL,
    status TEXT NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX IF NOT EXISTS resources_by_arn ON resources (arn);
CREATE TABLE IF NOT EXISTS tags (
    arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) STRICT;
"""
VERSION = 1
SORT_COLUMNS = {"CreationTime": "created", "LastModifiedTime": "modified", "Name": "name", "Status": "status"}

Document = dict[str, Any]


class DuplicateError(Exception):
    """A resource of this kind and name exists."""


class MissingError(Exception):
    """There is no resource of this kind and name."""


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep a data folder for this process; the kernel gives it back when the process ends, however it does.

    Raises:
        UserError: another process has it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = (folder / LOCK).open("ab")
    except OSError as error:
        raise UserError(f"the data folder cannot be used: {error.strerror}", where=str(folder)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                "another control plane uses this data folder",
                where=str(folder),
                fix="Stop it, or give another folder with --data.",
            ) from error
        yield


@dataclass(frozen=True)
class Selection:
    """Which resources a List operation asks for.

    Attributes:
        status, name_contains: None for any.
        created, modified: after and before, as seconds since 1970; None for any.
        sort_by: CreationTime, LastModifiedTime, Name or Status.
        after: place where the page before ended: value of `sort_by`, and name.
        limit: most resources of a page.
    """

    status: str | None = None
    name_contains: str | None = None
    created: tuple[float | None, float | None] = (None, None)
    modified: tuple[float | None, float | None] = (None, None)
    sort_by: str = "CreationTime"
    descending: bool = False
    after: tuple[Any, str] | None = None
    limit: int = 10

    def conditions(self) -> dict[str, list[Any]]:
        """Parts of an SQL condition with their values."""
        column, order = SORT_COLUMNS[self.sort_by], "<" if self.descending else ">"
        wanted: dict[str, list[Any]] = {
            "status = ?": [self.status],
            "instr(lower(name), lower(?))": [self.name_contains],
            "created > ?": [self.created[0]],
            "created < ?": [self.created[1]],
            "modified > ?": [self.modified[0]],
            "modified < ?": [self.modified[1]],
            f"({column}, name) {order} (?, ?)": [None] if self.after is None else list(self.after),
        }
        return {condition: values for condition, values in wanted.items() if values[0] is not None}


@dataclass(frozen=True)
class Page:
    """Some resources, and the place where the next page begins after, if there is one."""

    documents: list[Document]
    after: tuple[Any, str] | None


class State:
    """The resources and their tags; for any thread.

    Args:
        folder: where the file is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        # One connection behind one lock: transactions take a fraction of a millisecond.
        self._lock = threading.RLock()
        self._database = sqlite3.connect(
            folder / DATABASE, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")  # what was acknowledged survives a power failure too
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            self._database.close()
            raise UserError(
                f"the data is of a later version of imclass ({version}, and this one knows {VERSION})",
                where=str(folder / DATABASE),
                fix="Upgrade imclass, or give another folder with --data.",
            )
        self._database.executescript(SCHEMA)
        self._database.execute(f"PRAGMA user_version={VERSION}")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def add(self, kind: str, name: str, arn: str, status: str, document: Document, tags: Mapping[str, str]) -> None:
        """Remember a new resource.

        Raises:
            DuplicateError: there is one of this kind and name.
        """
        now = time.time()
        row = (kind, name, arn, status, now, now, json.dumps(document))
        try:
            with self._transaction() as database:
                database.execute("INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                _put_tags(database, arn, tags)
        except sqlite3.IntegrityError as error:
            raise DuplicateError(name) from error

    def get(self, kind: str, name: str) -> Document:
        """The document of a resource, with `CreationTime`, `LastModifiedTime` and `status`.

        Raises:
            MissingError: there is none.
        """
        with self._lock:
            row = self._database.execute(
                "SELECT document, status, created, modified FROM resources WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        if row is None:
            raise MissingError(name)
        return _document(row)

    @contextmanager
    def changing(self, kind: str, name: str) -> Iterator[Document]:
        """The document of a resource, which is remembered as the block leaves it; others wait.

        Raises:
            MissingError: there is none.
        """
        with self._transaction() as database:
            document = self.get(kind, name)
            yield document
            kept = {key: value for key, value in document.items() if key not in _COLUMNS}
            database.execute(
                "UPDATE resources SET document = ?, status = ?, modified = ? WHERE kind = ? AND name = ?",
                (json.dumps(kept), document["status"], time.time(), kind, name),
            )

    def remove(self, kind: str, name: str) -> None:
        """Forget a resource and its tags.

        Raises:
            MissingError: there is none.
        """
        with self._transaction() as database:
            row = database.execute(
                "DELETE FROM resources WHERE kind = ? AND name = ? RETURNING arn", (kind, name)
            ).fetchone()
            if row is None:
                raise MissingError(name)
            database.execute("DELETE FROM tags WHERE arn = ?", row)

    def select(self, kind: str, selection: Selection) -> Page:
        """One page of resources."""
        wanted = {"kind = ?": [kind], **selection.conditions()}
        column, order = SORT_COLUMNS[selection.sort_by], "DESC" if selection.descending else "ASC"
        values = [value for part in wanted.values() for value in part]
        with self._lock:
            rows = self._database.execute(
                f"SELECT document, status, created, modified, {column}, name FROM resources "
                f"WHERE {' AND '.join(wanted)} ORDER BY {column} {order}, name {order} LIMIT ?",
                [*values, selection.limit + 1],
            ).fetchall()
        shown = rows[: selection.limit]
        after = (shown[-1][4], shown[-1][5]) if len(rows) > len(shown) else None
        return Page([_document(row[:4]) for row in shown], after)

    def of_status(self, kind: str, status: str) -> list[Document]:
        """All resources with a status, the oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT document, status, created, modified FROM resources WHERE kind = ? AND status = ? "
                "ORDER BY created, name",
                (kind, status),
            ).fetchall()
        return [_document(row) for row in rows]

    def has_arn(self, arn: str) -> bool:
        """Whether a resource has this ARN."""
        with self._lock:
            return self._database.execute("SELECT 1 FROM resources WHERE arn = ?", (arn,)).fetchone() is not None

    def tags(self, arn: str) -> dict[str, str]:
        """By key, in order."""
        with self._lock:
            rows = self._database.execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", (arn,))
            return dict(rows.fetchall())

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags, or replace those that have the same keys."""
        with self._transaction() as database:
            _put_tags(database, arn, tags)

    def remove_tags(self, arn: str, keys: list[str]) -> None:
        with self._transaction() as database:
            database.executemany("DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in keys])


_COLUMNS = ("status", "CreationTime", "LastModifiedTime")


def _document(row: tuple[str, str, float, float]) -> Document:
    text, status, created, modified = row
    return {**json.loads(text), **dict(zip(_COLUMNS, (status, created, modified), strict=True))}


def _put_tags(database: sqlite3.Connection, arn: str, tags: Mapping[str, str]) -> None:
    database.executemany("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", [(arn, *tag) for tag in tags.items()])


@contextmanager
def opened_state(folder: Path) -> Iterator[State]:
    """The state in a folder, which nobody else uses while the block lasts.

    Raises:
        UserError: another process has the folder, or it was written by a later version.
    """
    with locked_folder(folder), closing(State(folder)) as state:
        yield state
