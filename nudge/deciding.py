"""`nudge decide`: one decision through the same service that answers over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from decisioning.errors import RequestError
from decisioning.schema_errors import explain_validation_error
from nudge.features_ready import Say, ensure_online
from nudge.workspace import Workspace
from serving.schemas.decisions import DecisionRequest


def decide_once(workspace: Workspace, request: dict[str, Any], say: Say) -> dict[str, Any]:
    """The HTTP response body of one decision.

    Raises
    ------
    RequestError
        The request is malformed.
    """
    try:
        parsed = DecisionRequest.model_validate(request)
    except ValidationError as error:
        raise RequestError(explain_validation_error(error, DecisionRequest)) from None
    ensure_online(workspace, say)
    service = workspace.open_service()
    try:
        return service.decide(parsed)
    finally:
        service.close()
