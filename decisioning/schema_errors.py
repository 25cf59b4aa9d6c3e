"""Pydantic's findings in plain words: each with the path of its key, and the nearest known key for an unknown one."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ValidationError

from decisioning.errors import nearest

_SHOWN_AT_MOST = 5


def explain_validation_error(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for all findings of `error`, which validating against `model` raised.

    Examples
    --------
    >>> class Size(BaseModel, extra="forbid"):
    ...     width: int
    >>> try:
    ...     Size.model_validate({"widht": 3})
    ... except ValidationError as found:
    ...     print(explain_validation_error(found, Size))
    width: is missing; widht: unknown key. Hint: did you mean 'width'?
    """
    findings: dict[str, str] = {}
    details = error.errors(include_url=False)
    for detail in details:
        location = tuple(detail["loc"])
        if detail["type"] == "too_short" and any(_is_below(other["loc"], location) for other in details):
            continue  # pydantic counts only the entries that are right
        text = _plain(detail["type"], detail["msg"], detail.get("input"))
        if detail["type"] == "extra_forbidden":
            hint = nearest(str(location[-1]), _fields_at(model, location[:-1]))
            text = "unknown key" + (f". Hint: {hint}" if hint else "")
        findings.setdefault(_path(location), text)
    lines = [f"{path}: {text}" if path else text for path, text in findings.items()]
    more = f"; and {len(lines) - _SHOWN_AT_MOST} more" if len(lines) > _SHOWN_AT_MOST else ""
    return "; ".join(lines[:_SHOWN_AT_MOST]) + more


_IN_PLAIN_WORDS = {
    "missing": "is missing",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a mapping of keys",
    "model_type": "should be a mapping of keys",
    "model_attributes_type": "should be a mapping of keys",
    "too_short": "is empty: it needs at least one entry",
    "string_too_short": "is empty",
}
_SHORTER = {
    "Value error, ": "",
    "Input should be": "should be",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
    "a valid string": "a text",
    "a valid integer, unable to parse string as an integer": "a whole number",
    "a valid integer, got a number with a fractional part": "a whole number",
    "a valid integer": "a whole number",
    "a valid number, unable to parse string as a number": "a number",
    "a valid number": "a number",
}
"""What pydantic says, and how people say it; the longer of two that begin alike comes first."""
_UNION_BRANCHES = ("float", "str", "int", "bool")


def _plain(kind: str, message: str, got: object) -> str:
    text = _IN_PLAIN_WORDS.get(kind) or message
    for theirs, ours in _SHORTER.items():
        text = text.replace(theirs, ours)
    if kind == "missing" or isinstance(got, dict | list):
        return text
    return f"{text}; got {'nothing' if got is None else repr(got)}"


def _is_below(location: tuple[int | str, ...], above: tuple[int | str, ...]) -> bool:
    return len(location) > len(above) and location[: len(above)] == above


def _path(location: tuple[int | str, ...]) -> str:
    """`actions[2].goal`; pydantic adds the branch of a union it tried, and `[key]` where the key itself is meant."""
    parts = [part for part in location if part != "[key]"]
    if len(parts) > 1 and parts[-1] in _UNION_BRANCHES:
        parts.pop()
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) and not isinstance(part, bool) else f".{part}" if text else str(part)
    return text


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The known keys where `location` leads, walking through lists, mappings and optionals."""
    current: type[BaseModel] = model
    for part in location:
        field = current.model_fields.get(str(part)) if isinstance(part, str) else None
        if field is not None:
            inner = _model_inside(field.annotation)
            current = inner if inner is not None else current
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_inside(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_inside(argument)
        if found is not None:
            return found
    return None
