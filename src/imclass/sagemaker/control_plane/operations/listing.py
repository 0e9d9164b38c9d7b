"""What the List operations of SageMaker have in common."""

import base64
import json
from datetime import datetime
from typing import Any

from imclass.sagemaker.control_plane.api.errors import invalid
from imclass.sagemaker.control_plane.operations.plane import Values
from imclass.sagemaker.control_plane.store.state import Page, Selection

DEFAULT_LIMIT = 10


def selection_of(request: Values, default_order: str) -> Selection:
    """What a request asks for.

    Args:
        default_order: Ascending or Descending.

    Raises:
        ApiError: its NextToken is not one of ours.
    """
    return Selection(
        status=request.get("StatusEquals"),
        name_contains=request.get("NameContains"),
        created=(_seconds(request.get("CreationTimeAfter")), _seconds(request.get("CreationTimeBefore"))),
        modified=(_seconds(request.get("LastModifiedTimeAfter")), _seconds(request.get("LastModifiedTimeBefore"))),
        sort_by=request.get("SortBy", "CreationTime"),
        descending=request.get("SortOrder", default_order) == "Descending",
        after=_place(request["NextToken"]) if "NextToken" in request else None,
        limit=request.get("MaxResults", DEFAULT_LIMIT),
    )


def next_token(page: Page) -> dict[str, str]:
    """The member of an answer that asks for the next page, if there is one."""
    if page.after is None:
        return {}
    return {"NextToken": base64.urlsafe_b64encode(json.dumps(page.after).encode()).decode()}


def _place(token: str) -> tuple[Any, str]:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise invalid("NextToken is not one of this server's.") from error
    if not isinstance(value, str | float | int) or not isinstance(name, str):
        raise invalid("NextToken is not one of this server's.")
    return value, name


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
