"""What the process that reads a pipe tells the others of its host.

All numbers are little-endian. A message is a head and a body::

    byte      0        4         8              16           16+n
              +--------+---------+--------------+------------+
    message   |  kind  | samples | body bytes n | body       |
              +--------+---------+--------------+------------+
              uint32    uint32    uint64

    kind 1    share     samples of one round, one after the other
    kind 2    end       the pass is over; uint64: its samples on all processes of the host together
    kind 3    error     the pass failed; JSON: [what, where, fix]
    kind 4    alive     nothing yet; no body

A sample of a share::

    byte      0        8           12       16             24    24+key        24+key+4*labels
              +--------+-----------+--------+--------------+-----+-------------+-------+
    sample    | index  | key bytes | labels | image bytes  | key | labels      | image |
              +--------+-----------+--------+--------------+-----+-------------+-------+
              uint64    uint32      uint32   uint64         UTF-8 float32 each
"""

import json
import struct
from enum import IntEnum

import numpy as np

from imclass.data.source import Sample
from imclass.errors import DataError

HEAD = struct.Struct("<IIQ")
SAMPLE_HEAD = struct.Struct("<QIIQ")
COUNT = struct.Struct("<Q")
BODY_LIMIT = 1 << 36  # bytes; a round of 64 GiB is no round

Share = list[tuple[int, Sample]]
"""Samples of one round, each with its place in the pass."""


class Kind(IntEnum):
    """What a message is."""

    SHARE = 1
    END = 2
    ERROR = 3
    ALIVE = 4


def share_message(share: Share) -> bytes:
    """Return the message of a share."""
    pieces: list[bytes] = []
    for index, sample in share:
        key, labels = sample.key.encode("utf-8", "surrogateescape"), sample.label.astype("<f4").tobytes()
        pieces += (SAMPLE_HEAD.pack(index, len(key), len(sample.label), len(sample.image)), key, labels, sample.image)
    return _message(Kind.SHARE, b"".join(pieces), len(share))


def end_message(samples: int) -> bytes:
    """Return the message that a pass is over."""
    return _message(Kind.END, COUNT.pack(samples))


def error_message(error: DataError) -> bytes:
    """Return the message that a pass failed."""
    return _message(Kind.ERROR, json.dumps([error.what, error.where, error.fix]).encode())


def alive_message() -> bytes:
    """Return the message that there is nothing to tell yet."""
    return _message(Kind.ALIVE, b"")


def _message(kind: Kind, body: bytes, samples: int = 0) -> bytes:
    return HEAD.pack(kind, samples, len(body)) + body


def read_share(body: bytes, samples: int) -> Share:
    """Read the samples of a share.

    Raises:
        RuntimeError: the body is not what the head says; both ends are this program, so this is its fault.
    """
    share: Share = []
    offset = 0
    for _ in range(samples):
        if offset + SAMPLE_HEAD.size > len(body):
            raise RuntimeError(f"a share of {samples} samples ends at sample {len(share)}")
        index, key_bytes, labels, image_bytes = SAMPLE_HEAD.unpack_from(body, offset)
        key_at = offset + SAMPLE_HEAD.size
        labels_at, image_at = key_at + key_bytes, key_at + key_bytes + 4 * labels
        offset = image_at + image_bytes
        if offset > len(body):
            raise RuntimeError(f"sample {len(share)} of a share is longer than the share")
        label = np.frombuffer(body, "<f4", labels, labels_at).astype(np.float32)
        key = body[key_at:labels_at].decode("utf-8", "surrogateescape")
        share.append((index, Sample(key, body[image_at:offset], label)))
    return share


def read_end(body: bytes) -> int:
    """Read the number of samples of a pass that is over."""
    (samples,) = COUNT.unpack(body)
    return int(samples)


def read_error(body: bytes) -> DataError:
    """Read why a pass failed."""
    what, where, fix = json.loads(body)
    return DataError(what, where=where, fix=fix)
