"""Inputs beside their results, as SageMaker's batch transform joins them."""

import json


def joined(record: object, result: bytes) -> bytes:
    """The input and the result in one JSON object; a line end behind the result is kept.

    Args:
        record: a JSON value; one that is no object is put under `SageMakerInput`.
        result: JSON, which is put under `SageMakerOutput`.
    """
    content = result.rstrip(b"\n")
    if not isinstance(record, dict):
        start = b'{"SageMakerInput": ' + json.dumps(record).encode()
    else:
        start = json.dumps({name: value for name, value in record.items() if name != "SageMakerOutput"}).encode()[:-1]
    separator = b"" if start == b"{" else b", "
    return start + separator + b'"SageMakerOutput": ' + content + b"}" + result[len(content) :]
