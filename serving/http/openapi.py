"""The OpenAPI document: FastAPI's own, the hot routes' bodies and answers as their structs say, and every route's problem documents."""

from __future__ import annotations

from typing import Any

from serving.http.access import ADMIN, OPEN, ROUTES
from serving.http.http_errors import PROBLEM_JSON, TITLES
from serving.schemas import hot_answers, hot_requests
from serving.schemas.decisions import Problem
from serving.schemas.explained import ExplanationOut

_EVERYWHERE = (413, 500)
_GUARDED = (401, 403)
_SCHEME = "key"
_BY_METHOD = {"post": (400, 409, 415, 422, 429, 503), "put": (400, 415, 422, 503), "delete": (409, 422, 503), "get": (422, 503)}
_HOW = "a key of nudge keys create, with the scope in x-scope or admin; none is needed on a machine without any key"
_NOT_FOUND = 404
_UNUSED = ("HTTPValidationError", "ValidationError")  # FastAPI's own error schema: ours is Problem


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """The document with a Problem under every status that a route may refuse with; the same document a second time."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _UNUSED:
        schemas.pop(name, None)
    schemas.update(hot_requests.components() | hot_answers.components())
    for model in (Problem, ExplanationOut):
        own = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        schemas.update({**own.pop("$defs"), model.__name__: own})
    document["components"]["schemas"] = schemas = hot_answers.referred(schemas)
    document["components"]["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer", "description": _HOW}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _add_scope(path, method, operation)
            _add_problems(path, method, operation["responses"])
    return document


def _add_scope(path: str, method: str, operation: dict[str, Any]) -> None:
    """That a key is needed, and which scope it must have."""
    scope = ROUTES.get((method.upper(), path), ADMIN)
    if scope != OPEN:
        operation["security"] = [{_SCHEME: []}]
        operation["x-scope"] = scope


def _add_problems(path: str, method: str, responses: dict[str, Any]) -> None:
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
    health = path.startswith("/health")
    guarded = () if ROUTES.get((method.upper(), path)) == OPEN else _GUARDED
    statuses = _EVERYWHERE + guarded + (() if health else _BY_METHOD[method]) + ((_NOT_FOUND,) if "{" in path else ())
    for status in sorted(statuses):
        responses.setdefault(
            str(status), {"description": TITLES[status], "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        )
