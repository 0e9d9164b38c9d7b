"""How large a request may be and how long it may take."""

from dataclasses import dataclass

from imclass.images import MAX_PIXELS

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one request, and of all requests together.

    Attributes:
        body_bytes: of a request's body; the default is what SageMaker's endpoints take.
        pixels: of an image, counted from its header before it is decoded; `MAX_PIXELS` at most.
        images: in one request.
        body_seconds: until the whole body has arrived.
        request_seconds: from the whole body to the answer.
        waiting_body_bytes: of the bodies of all requests that are being read or answered.
        waiting_explanations: that are worked on or wait, of all models.
    """

    body_bytes: int = 6 * MEBIBYTE
    pixels: int = MAX_PIXELS
    images: int = 64
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    waiting_body_bytes: int = 512 * MEBIBYTE
    waiting_explanations: int = 16
