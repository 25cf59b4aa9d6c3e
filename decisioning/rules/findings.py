"""The rules of a catalogue compiled one after another, so that what is wrong with them is said in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from decisioning.errors import RuleError
from decisioning.rules.expressions import Expression, RuleBook
from decisioning.vocabulary import Dtype

_Compiled = TypeVar("_Compiled")
_SHOWN_AT_MOST = 5


class RuleFindings:
    """A `RuleBook` that goes on after a rule that does not fit, and remembers it.

    Examples
    --------
    >>> findings = RuleFindings({"age": "int"})
    >>> findings.condition("agee > 3", path="actions[0].eligibility")
    ()
    >>> findings.refuse()
    Traceback (most recent call last):
    decisioning.errors.RuleError: actions[0].eligibility: unknown column 'agee'
      agee > 3
      ^^^^
    Hint: did you mean 'age'?
    """

    def __init__(self, dtypes: Mapping[str, Dtype]) -> None:
        self._book = RuleBook(dtypes)
        self._of_events = RuleBook(dtypes, ("context", "event"))
        self._refused: dict[str, RuleError] = {}
        self._elsewhere: dict[str, list[str]] = {}

    def condition(self, text: str, *, path: str) -> tuple[Expression, ...]:
        """As `compile_condition`; nothing where it does not fit."""
        return self._tried(lambda: self._book.condition(text, path=path), text, path) or ()

    def event_condition(self, text: str, *, path: str) -> tuple[Expression, ...]:
        """A condition that may read `event.*` too."""
        return self._tried(lambda: self._of_events.condition(text, path=path), text, path) or ()

    def value(self, text: str, *, path: str) -> Expression | float:
        """As `compile_value`; a number where it does not fit."""
        return self._tried(lambda: self._book.value(text, path=path), text, path) or 0.0

    def _tried(self, compiled: Callable[[], _Compiled], text: str, path: str) -> _Compiled | None:
        if text in self._refused:
            self._elsewhere[text].append(path)
            return None
        try:
            return compiled()
        except RuleError as error:
            self._refused[text], self._elsewhere[text] = error, []
            return None

    def refuse(self) -> None:
        """Raise one `RuleError` for all rules that did not fit, each with its path and a caret; nothing where all did."""
        if not self._refused:
            return
        shown = [self._said(text) for text in list(self._refused)[:_SHOWN_AT_MOST]]
        if len(self._refused) == 1:
            (error,) = self._refused.values()
            raise error if not any(self._elsewhere.values()) else RuleError(shown[0], hint=None)
        more = len(self._refused) - len(shown)
        rest = [f"and {more} more"] if more else []
        raise RuleError("\n".join([f"{len(self._refused)} rules do not fit", *shown, *rest]))

    def _said(self, text: str) -> str:
        elsewhere = self._elsewhere[text]
        return str(self._refused[text]).rstrip("\n") + (f"\nThe same text: {', '.join(elsewhere)}" if elsewhere else "")
