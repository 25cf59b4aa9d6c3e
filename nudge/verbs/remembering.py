"""`nudge replay` and `nudge suppress`: what was decided, made again; what must not be proposed, until when."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from decisioning.errors import RequestError
from decisioning.schema_errors import explain_validation_error
from nudge.ground.workspace import Workspace
from nudge.verbs.opening import open_service
from serving.schemas.decisions import SuppressionIn


def replay_decision(workspace: Workspace, decision_id: str) -> dict[str, Any]:
    """{decision_id, identical, differences}."""
    service = open_service(workspace)
    try:
        return service.replay(decision_id)
    finally:
        service.close()


def suppress_contact(workspace: Workspace, contact_id: str, suppression: dict[str, Any]) -> dict[str, Any]:
    """The suppression as it holds now.

    Raises
    ------
    RequestError
        It does not say until when, or names what is not in the catalogue.
    """
    try:
        parsed = SuppressionIn.model_validate(suppression)
    except ValidationError as error:
        raise RequestError(explain_validation_error(error, SuppressionIn)) from None
    service = open_service(workspace)
    try:
        return service.suppress(contact_id, parsed)
    finally:
        service.close()
