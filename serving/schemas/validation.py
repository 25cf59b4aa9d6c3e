"""JSON values -> request models; what does not fit is refused with every field named, what was got and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from decisioning.errors import RequestError, nearest
from serving.schemas.decisions import FieldProblem

_Model = TypeVar("_Model", bound=BaseModel)
_SHOWN_CHARACTERS = 80
_SHOWN_PROBLEMS = 20


class InvalidFields(RequestError):
    """Fields of a request are not as they must be; `problems` names each."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(_sentence(problem) for problem in problems))


def read(model: type[_Model], value: object) -> _Model:
    """The value as a `model`.

    Raises
    ------
    InvalidFields
        The value does not fit.

    Examples
    --------
    >>> from serving.schemas.decisions import DecisionRequest
    >>> read(DecisionRequest, {"contact_id": "c-17", "limit": 3}).limit
    3
    >>> read(DecisionRequest, {"contact_id": "c-17", "limt": 3})
    Traceback (most recent call last):
    serving.schemas.validation.InvalidFields: limt: got an unknown key; expected another key: did you mean 'limit'?
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise InvalidFields(problems(details, known=tuple(model.model_fields))) from None


def problems(details: Iterable[Mapping[str, Any]], *, known: Sequence[str] = ()) -> list[FieldProblem]:
    """Pydantic's error details in our words, the first few of them; `known` are the keys that a misspelt one is compared with."""
    return [_problem(detail, known) for _, detail in zip(range(_SHOWN_PROBLEMS), details, strict=False)]


def shown(value: object) -> str:
    """A value in a few characters of printable ASCII, as JSON where it is short.

    Examples
    --------
    >>> shown("żółw"), shown([1, 2]), shown(float("nan"))
    ('"\\\\u017c\\\\u00f3\\\\u0142w"', 'a list of 2', 'NaN')
    """
    if isinstance(value, Mapping):
        return f"an object with {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = json.dumps(value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value, default=lambda other: type(other).__name__)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _problem(detail: Mapping[str, Any], known: Sequence[str]) -> FieldProblem:
    field = _path(detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        return FieldProblem(field=field, got="nothing", expected="a value")
    if kind == "extra_forbidden":
        hint = nearest(str(detail["loc"][-1]), known)
        return FieldProblem(field=field, got="an unknown key", expected=f"another key: {hint}" if hint else f"one of {', '.join(known)}")
    expected = "an object" if kind in ("model_type", "dict_type") else str(detail["msg"]).removeprefix("Input should be ")
    return FieldProblem(field=field, got=shown(detail["input"]), expected=expected)


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        name = shown(part)[1:-1] if isinstance(part, str) else part
        path += f"[{name}]" if isinstance(part, int) else f".{name}" if path else str(name)
    return path or "body"


def _sentence(problem: FieldProblem) -> str:
    return f"{problem.field}: got {problem.got}; expected {problem.expected}"
