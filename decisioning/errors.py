"""Every refusal Nudge makes, as one tree.

::

    NudgeError                  anything Nudge refuses, with what / got / allowed / hint
    ├── ConfigError             nudge.yaml or catalog.yaml does not say what it must
    │   └── NotSupportedYet     a key or command of the contract that this version does not do
    ├── RuleError               a condition or value expression is not usable
    ├── DataError               a contract table or a source breaks the contract
    ├── RequestError            a call over HTTP or the command line is malformed
    │   └── TooLarge            a request is larger than the limit
    ├── Unauthorized            nobody knows who calls
    ├── Forbidden               whoever calls may not do this
    ├── NotFound                a contact, decision, model or file is not there
    ├── Conflict                the state does not allow it now
    │   ├── ContractMismatch    a model was trained on another feature contract
    │   └── Infeasible          the limits of a plan contradict one another
    └── Unavailable             a store or a model cannot answer now
        └── Overloaded          more is asked than can be answered in time

The tree knows nothing of HTTP: `serving/http/http_errors.py` holds the one table of statuses.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple


class NudgeError(Exception):
    """A refusal that a person can act on.

    Parameters
    ----------
    what : str
        What is wrong, in plain words.
    field : str, optional
        The path of the key, column or argument, for example ``actions[2].goal``.
    got, allowed, hint : str, optional
        What was found, what would be accepted, and what to do next.

    Examples
    --------
    >>> print(NudgeError("unknown key", field="channels.email.costs", hint="did you mean 'cost'?"))
    channels.email.costs: unknown key. Hint: did you mean 'cost'?
    """

    def __init__(
        self,
        what: str,
        *,
        field: str | None = None,
        got: object | None = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.field = field
        self.got = None if got is None else str(got)
        self.allowed = allowed
        self.hint = hint
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.field}: {self.what}" if self.field else self.what
        if self.got is not None:
            text += f"; got {self.got}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.hint:
            text += f"Hint: {self.hint}" if text.endswith("\n") else f". Hint: {self.hint}"
        return text


class ConfigError(NudgeError):
    """nudge.yaml, catalog.yaml or a workspace's files do not say what they must."""


class NotSupportedYet(ConfigError):
    """A key or command of the contract that this version does not do."""


class RuleError(NudgeError):
    """A condition or value expression is outside the subset, or does not fit the feature contract."""


class DataError(NudgeError):
    """A contract table, a source query or a data file breaks the contract."""


class RequestError(NudgeError):
    """A call is malformed: nothing of it was applied."""


class TooLarge(RequestError):
    """A request is larger than the limit: nothing of it was read further."""


class Unauthorized(NudgeError):
    """A call without a key, or with one that does not hold: nobody knows who calls."""


class Forbidden(NudgeError):
    """Whoever calls may not do this."""


class NotFound(NudgeError):
    """A contact, decision, model or file is not there."""


class Conflict(NudgeError):
    """The state of the workspace does not allow this now."""


class ContractMismatch(Conflict):
    """A model was trained on another feature contract than the workspace's."""


class Clashing(NamedTuple):
    """One bound of several that cannot all hold: the place of its limit, which side of it, and what it asks for.

    `by` is how much this bound alone would have to give way for the others to hold together with it.
    """

    limit: int
    side: Literal["most", "least"]
    bound: float
    by: float


class Infeasible(Conflict):
    """The limits of a plan contradict one another; none of the bounds in `clash` can be left out of the contradiction.

    `clash` is empty where divided offers could meet the limits and only whole ones cannot, or where the search gave up.
    """

    def __init__(self, what: str, *, clash: Sequence[Clashing] = (), hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.clash = tuple(clash)


class Unavailable(NudgeError):
    """A store or a model cannot answer now; trying again later may help."""


class Overloaded(Unavailable):
    """More is asked than can be answered in time: this was not begun; trying again later will help."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The hint for a misspelt name, or None where nothing known is near.

    Examples
    --------
    >>> nearest("chanels", ["channels", "actions"])
    "did you mean 'channels'?"
    """
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{match[0]}'?" if match else None
