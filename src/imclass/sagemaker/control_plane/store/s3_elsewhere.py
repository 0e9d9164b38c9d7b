"""What answers requests of S3 when the objects are kept by another server."""

from secrets import token_hex

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from imclass.sagemaker.s3.response_xml import error_document


class S3Elsewhere:
    """Tells every client where to go.

    Args:
        endpoint: URL of the other server.
    """

    def __init__(self, endpoint: str) -> None:
        self._message = (
            f"This control plane keeps its objects at {endpoint}. Send requests of S3 there: the variable "
            "AWS_ENDPOINT_URL_S3 says so to boto3, the AWS CLI and the SageMaker SDK."
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        content = error_document("InvalidRequest", self._message, scope["path"], token_hex(8).upper(), {})
        await Response(content, 400, media_type="application/xml")(scope, receive, send)
