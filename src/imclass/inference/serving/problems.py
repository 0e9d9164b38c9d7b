"""What goes wrong with a request, as the HTTP status that says so."""

from http import HTTPStatus


class RequestError(Exception):
    """A request that gets an error for an answer.

    Args:
        status: of HTTP, 400 to 599.
        message: what is wrong and what to do, for the sender.
        retry_after: seconds after which the sender may try again; for 503.
        close: whether the connection ends with the answer, because the rest of the body was not read.
    """

    def __init__(
        self, status: HTTPStatus, message: str, *, retry_after: int | None = None, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.close = close


def overloaded(message: str, retry_after: int = 1) -> RequestError:
    """503 for a sender who may try again."""
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after=retry_after)
