"""The decisions of a batch, chosen together: each contact's candidates by themselves, all their scores in one call.

One that cannot be made does not keep the others from theirs: it is tried alone, and then the catalogue's fallback answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypeVar

from msgspec import Struct

from decisioning.candidates import OneScores
from decisioning.decide import Decision, choose, decide
from decisioning.errors import NudgeError
from decisioning.one_contact import Opened, close_one, open_one
from decisioning.one_worth import OneHouse
from decisioning.stages import House
from serving.realtime.feature_rows import FeatureRows
from serving.realtime.scorer import Scorer
from serving.realtime.situations import Gathered

LOG = logging.getLogger(__name__)
SCORES_UNAVAILABLE = "scores_unavailable"
TOO_LATE = "deadline"
"""`degraded` of an answer whose time was over before work on it began: the catalogue's fallback."""

_Found = TypeVar("_Found")


class Wanted(Struct, frozen=True, eq=False):
    """What is known for one request, how many actions it asks for at most, and until when (`perf_counter`) work on it has to begin."""

    gathered: Gathered
    limit: int
    due: float


class Choice(Struct, eq=False):
    """The decision for one request, None where the fallback answers; why, or the refusal; and what it took, milliseconds."""

    decision: Decision | None = None
    degraded: str | None = None
    refusal: NudgeError | None = None
    score_ms: float = 0.0
    decide_ms: float = 0.0


class _One(Struct, eq=False):
    """One request on its way: its candidates where they are ordinary, and their scores."""

    wanted: Wanted
    choice: Choice
    opened: Opened | None = None
    scores: OneScores | None = None
    over: bool = False

    def timed(self, work: Callable[[], _Found]) -> _Found | None:
        """What `work` finds; None where it fails, and then the fallback answers, or the refusal."""
        begun = perf_counter()
        try:
            return work()
        except NudgeError as error:
            self.choice.refusal, self.over = error, True
        except Exception:  # a model that fails on one contact must not take the page down
            LOG.exception("deciding for a contact failed; the fallback answers")
            self.choice.degraded, self.over = SCORES_UNAVAILABLE, True
        finally:
            self.choice.decide_ms += (perf_counter() - begun) * 1e3
        return None


def choose_all(house: House, scorer: Scorer, features: FeatureRows, wanted: Sequence[Wanted]) -> list[Choice]:
    """A choice for each, in order; `features` are those of the batch that they were gathered with."""
    shared, ones = OneHouse(house), [_One(one, Choice(degraded=one.gathered.degraded)) for one in wanted]
    for one in ones:
        if perf_counter() > one.wanted.due:
            one.choice.degraded, one.over = TOO_LATE, True
        else:
            gathered = one.wanted.gathered
            one.opened = one.timed(lambda gathered=gathered: open_one(shared, gathered.situation, gathered.history))  # type: ignore[misc]
    _score(scorer, features, [one for one in ones if one.opened is not None])
    for one in ones:
        if not one.over:
            one.choice.decision = one.timed(lambda one=one: _chosen(shared, one))  # type: ignore[misc]
    return [one.choice for one in ones]


def _score(scorer: Scorer, features: FeatureRows, ones: Sequence[_One]) -> None:
    """Score what is alive, all at once; where that fails everybody is decided for alone."""
    alive = [one for one in ones if one.opened is not None and one.opened.alive]
    for one in ones:
        if one.opened is not None and not one.opened.alive:
            one.scores = scorer.of_nobody(one.opened.situation.only)
    if not alive:
        return
    begun = perf_counter()
    living = [one.opened.alive for one in alive if one.opened is not None]
    rows = [one.wanted.gathered.situation.only for one in alive]
    places: Sequence[int] = [one.wanted.gathered.place for one in alive]
    columns = features.columns
    if 2 * len(places) < features.n:  # scoring a contact more costs less than taking all columns apart
        columns, places = features.take(list(places)), range(len(places))
    try:
        scores = scorer.of_each(columns, alive[0].wanted.gathered.situation.now, places, rows, living)
    except Exception as error:  # one of them brought it about: alone, only its own decision fails
        LOG.debug("scoring %d contacts at once failed; each is scored alone", len(alive), exc_info=error)
        return
    spent = round((perf_counter() - begun) * 1e3, 3)
    for one, own in zip(alive, scores, strict=True):
        one.scores, one.choice.score_ms = own, spent


def _chosen(house: OneHouse, one: _One) -> Decision:
    gathered, limit = one.wanted.gathered, one.wanted.limit
    if one.opened is None or one.scores is None:
        return decide(house.house, gathered.situation, gathered.history, limit=limit)
    return choose(house.house, close_one(house, one.opened, one.scores), limit=limit)
