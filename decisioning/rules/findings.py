"""The rules of a catalogue compiled one after another, so that what is wrong with them is said in one go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from decisioning.errors import RuleError
from decisioning.rules.expressions import Expression, RuleBook
from decisioning.vocabulary import Dtype

_Compiled = TypeVar("_Compiled")
_SHOWN_AT_MOST = 5
_CLOCK = re.compile(r"clock\.(?:(?P<moment>now)|today|(?P<word>in|ago)_(?P<days>\d{1,5})_days)")


def days_from_today(key: str) -> int | None:
    """How many days from today a day of the clock is; None of `clock.now`.

    Raises
    ------
    RuleError
        The clock has no such key.

    Examples
    --------
    >>> [days_from_today(f"clock.{key}") for key in ("today", "in_30_days", "ago_7_days", "now")]
    [0, 30, -7, None]
    """
    found = _CLOCK.fullmatch(key)
    if found is None:
        raise RuleError("is nothing that the clock shows", got=key, allowed="clock.today, clock.in_30_days, clock.ago_7_days, clock.now")
    if found["moment"]:
        return None
    return int(found["days"] or 0) * (-1 if found["word"] == "ago" else 1)


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
        self._timed = RuleBook(dtypes, ("clock",))
        self._refused: dict[str, RuleError] = {}
        self._elsewhere: dict[str, list[str]] = {}

    def condition(self, text: str, *, path: str) -> tuple[Expression, ...]:
        """As `compile_condition`; nothing where it does not fit."""
        return self._tried(lambda: self._book.condition(text, path=path), text, path) or ()

    def event_condition(self, text: str, *, path: str) -> tuple[Expression, ...]:
        """A condition that may read `event.*` too."""
        return self._tried(lambda: self._of_events.condition(text, path=path), text, path) or ()

    def timed_condition(self, text: str, *, path: str) -> tuple[Expression, ...]:
        """A condition that is looked at by time: it may read `clock.*`, and has no request."""
        return self._tried(lambda: self._by_the_clock(text, path), text, path) or ()

    def _by_the_clock(self, text: str, path: str) -> tuple[Expression, ...]:
        conditions = self._timed.condition(text, path=path)
        for key in (key for one in conditions for key in one.context_keys):
            try:
                days_from_today(key)
            except RuleError as error:
                raise RuleError(str(error), field=path) from None
        return conditions

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
