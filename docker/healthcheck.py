"""Ends with status 0 when the server in this container is ready for requests."""

import os
import sys
from http.client import HTTPConnection

PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)


def is_ready() -> bool:
    connection = HTTPConnection("127.0.0.1", PORT, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError as error:
        print(f"/ping cannot be reached: {error}", file=sys.stderr)
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready() else 1)
