"""SageMaker's own operations, performed in this process as if a client had asked."""

from collections.abc import Iterator, Mapping
from typing import Any

from imclass.sagemaker.control_plane.api.service_models import service_model
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values, perform

SERVICE = "sagemaker"
MOST_PAGES = 10


class Calls:
    """Performs operations.

    Args:
        operations: those of SageMaker that the server offers, by name.
    """

    def __init__(self, plane: Plane, operations: Mapping[str, Operation]) -> None:
        self._plane = plane
        self._operations = operations

    def offers(self, *names: str) -> bool:
        """Whether all these operations can be performed."""
        return all(name in self._operations for name in names)

    def __call__(self, name: str, **request: Any) -> Values:
        """Perform one.

        Raises:
            ApiError: the request is refused.
        """
        return perform(self._plane, SERVICE, self._operations, name, request)

    def all_pages(self, name: str, member: str, **request: Any) -> Iterator[Values]:
        """The items of a List operation, those of the first `MOST_PAGES` pages of 100.

        Args:
            member: of the answer, which holds them.
        """
        token: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            answer = self(name, MaxResults=100, **request, **token)
            yield from answer[member]
            if "NextToken" not in answer:
                return
            token = {"NextToken": answer["NextToken"]}


def choices(shape: str) -> list[str]:
    """The values that an enumeration of SageMaker has."""
    return list(service_model(SERVICE).shape_for(shape).enum)
