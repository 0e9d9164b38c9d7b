"""What the control plane has acknowledged, and whether it still stands by it."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

BUCKET = "kills"


@dataclass
class Ledger:
    """Promises, and how often they were broken. Each actor writes under names of its own.

    Attributes:
        objects: by key, the digests that the object may have; None = that it is not there. More than one where a
            kill left open whether a request was carried out.
        ended: by kind and name, the status in which something was seen to have ended.
        acts: what was done, by name.
        unanswered: requests that a kill left without an answer.
        problems: promises that were not kept.
    """

    objects: dict[str, set[str | None]] = field(default_factory=dict)
    ended: dict[tuple[str, str], str] = field(default_factory=dict)
    acts: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    problems: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def did(self, act: str) -> None:
        with self._lock:
            self.acts[act] += 1

    def lost_answer(self) -> None:
        with self._lock:
            self.unanswered += 1

    def broken(self, problem: str) -> None:
        """A promise was not kept."""
        with self._lock:
            self.problems.append(problem)
        print(f"  NOT KEPT: {problem}", flush=True)

    def object_is(self, key: str, content: bytes | None) -> None:
        """An object was acknowledged to be this; None = deleted."""
        with self._lock:
            self.objects[key] = {digest(content)}

    def object_may_be(self, key: str, content: bytes | None) -> None:
        """It was asked that an object become this, and nobody knows whether it has."""
        with self._lock:
            self.objects.setdefault(key, {None}).add(digest(content))

    def has_ended(self, kind: str, name: str, status: str) -> None:
        """Something was seen to have ended."""
        with self._lock:
            self.ended[kind, name] = status

    def check_objects(self, s3: Any) -> None:
        """Read all objects and compare them."""
        for key, allowed in self.objects.items():
            found = digest(_content(s3, key))
            if found not in allowed:
                self.broken(f"the object {key} is {'gone' if found is None else 'another'}")

    def check_ends(self, status_of: Mapping[str, Callable[[str], str]]) -> None:
        """Ask for all that has ended.

        Args:
            status_of: by kind, the status of a name.
        """
        for (kind, name), status in self.ended.items():
            found = status_of[kind](name)
            if found != status:
                self.broken(f"{kind} {name} was {status} and is {found}")


def digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _content(s3: Any, key: str) -> bytes | None:
    try:
        content: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return content
