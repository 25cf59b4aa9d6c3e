"""Whose turn is it? A batch decides many at once, but those that share a contact or an account may have to go one after another.

Of several decisions that count on the same number of touches only the first can be granted; the others are made again, upon what holds
then. A key that was refused is therefore asked less at a time, one at first, and twice as much whenever all of it went through: what never
clashes stays as fast as it was, and a thousand requests for one contact cost little more than a thousand decisions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ledger.claims import account_of
from ledger.records import DecisionRecord

Key = tuple[str, str]
"""What decisions share: ("contact", its id) or ("account", its id)."""


@dataclass
class Turns:
    """Which places of a batch are open, and who goes next.

    Examples
    --------
    >>> turns = Turns(range(3))
    >>> for place in turns.next():
    ...     turns.counts_on(place, [("contact", "c-1")])
    >>> turns.settle(done=[0])
    >>> turns.next()
    [1]
    """

    places: Iterable[int]
    _open: dict[int, None] = field(init=False)
    _keys: dict[int, Sequence[Key]] = field(init=False, default_factory=dict)
    _width: dict[Key, int] = field(init=False, default_factory=dict)
    _asked: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._open = dict.fromkeys(self.places)

    def next(self) -> list[int]:
        """The places to decide now, in order; empty when all are done."""
        taken: Counter[Key] = Counter()
        self._asked = []
        for place in self._open:
            contended = [key for key in self._keys.get(place, ()) if key in self._width]
            if all(taken[key] < self._width[key] for key in contended):
                taken.update(contended)
                self._asked.append(place)
        return self._asked

    def counts_on(self, place: int, keys: Sequence[Key]) -> None:
        """Say what the decision at `place` shares with others."""
        self._keys[place] = keys

    def settle(self, done: Iterable[int]) -> None:
        """Close the places that are done; the others of those that `next` named were refused."""
        for place in done:
            self._open.pop(place, None)
        refused: dict[Key, bool] = defaultdict(bool)
        for place in self._asked:
            for key in self._keys.get(place, ()):
                refused[key] |= place in self._open
        for key, again in refused.items():
            if again:
                self._width[key] = 1
            elif key in self._width:
                self._width[key] *= 2


def shared_by(record: DecisionRecord) -> list[Key]:
    """The contact and the account whose touches a decision counts on."""
    claim, account_id = record.claim, account_of(record)
    if claim is None:
        return []
    contact = [("contact", record.contact_id)] if claim.seen_contact is not None or claim.beside else []
    of_account = account_id is not None and (claim.seen_account is not None or claim.beside)
    return contact + ([("account", str(account_id))] if of_account else [])
