"""`nudge decide`: one decision through the same service that answers over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from decisioning.errors import RequestError
from decisioning.schema_errors import explain_validation_error
from nudge.ground.workspace import Workspace
from nudge.verbs.features_ready import Say, ensure_online
from nudge.verbs.opening import open_service
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
    service = open_service(workspace)
    try:
        return service.decide(parsed)
    finally:
        service.close()
