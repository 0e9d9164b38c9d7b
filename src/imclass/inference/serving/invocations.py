"""POST /invocations: images in, probabilities out."""

from starlette.requests import Request
from starlette.responses import Response

from imclass.inference.serving import requests, responses
from imclass.inference.serving.bodies import BodyAccount, BodyMemory, read_body
from imclass.inference.serving.endpoint import ImageEndpoint, find_images, joined, while_connected
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.service import ModelService


class Invocations(ImageEndpoint):
    """The endpoint.

    Args:
        models: that it serves.
        metrics: where requests are counted.
        limits: of each request.
        memory: for the bodies of all requests together.
        batch_transform: whether SageMaker's batch transform sends the requests.
    """

    def __init__(
        self, models: Models, metrics: Metrics, limits: Limits, memory: BodyMemory, batch_transform: bool
    ) -> None:
        super().__init__(models, metrics, limits, memory)
        self._batch_transform = batch_transform

    async def _answer(self, request: Request, service: ModelService, account: BodyAccount) -> Response:
        media_type = requests.content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
        form = responses.negotiate(joined(request, "accept"), batch_transform=self._batch_transform)
        body = await read_body(request.receive, request.headers, self._limits, account)
        images = await find_images(media_type, body, self._limits.images)
        probabilities = await while_connected(request.receive, service.answer(images.encoded))
        content = responses.body(probabilities, form, service.labels, is_list=images.is_list)
        return Response(content, media_type=form.content_type)
