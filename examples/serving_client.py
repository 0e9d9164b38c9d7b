"""A client of `imclass serve`, with Python's own library.

    imclass serve run1/model.tar.gz &
    python examples/serving_client.py http://127.0.0.1:8080 cat.jpg holiday/

For each image prints its path, the likeliest class and its probability, separated by tabs. A server that is too busy
(503) says when to come again, and is asked again then. With the variable IMCLASS_TOKEN set, requests bear its token.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ATTEMPTS = 5
SECONDS = 70  # the server gives an answer, or an error, within 60
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", metavar="URL", help="of the server; of one of several models: URL/models/NAME")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="JPEG and PNG files, or folders of them")
    given = parser.parse_args()
    failures = 0
    for image in files(given.images):
        try:
            answer = ask(given.url, image)
        except HTTPError as error:
            print(f"{image}: {error.code}: {json.load(error)['error']}", file=sys.stderr)
            failures += 1
        except URLError as error:
            sys.exit(f"{given.url} cannot be reached: {error.reason}")
        except OSError as error:
            print(f"{image}: {error.strerror or error}", file=sys.stderr)
            failures += 1
        else:
            probability, label = max(zip(answer["probabilities"], answer["labels"], strict=True))
            print(image, label, f"{probability:.6f}", sep="\t")
    if failures:
        sys.exit(f"{failures} images were not answered")


def files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in TYPES)
        else:
            yield path


def ask(url: str, image: Path) -> dict[str, Any]:
    """Send one image; returns `probabilities` and `labels`, which belong together, and more."""
    headers = {
        "Content-Type": TYPES.get(image.suffix.lower(), "application/x-image"),
        "Accept": "application/json;verbose",
    }
    if token := os.environ.get("IMCLASS_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = Request(f"{url.rstrip('/')}/invocations", data=image.read_bytes(), headers=headers)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urlopen(request, timeout=SECONDS) as response:
                return json.load(response)
        except HTTPError as error:
            if error.code != 503 or attempt == ATTEMPTS:
                raise
            time.sleep(float(error.headers.get("Retry-After", 1)))
    raise AssertionError("the last attempt returns or raises")


if __name__ == "__main__":
    main()
