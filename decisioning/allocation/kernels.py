"""The loops over all offers of a large population, and over many small trials, compiled.

What each does is written down plainly where it is used, and tested against that. Numba is loaded only by whoever calls these: below
`COMPILED` offers the plain versions are done before it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit

from decisioning.vocabulary import BoolArray, FloatArray, IntArray

_Function = TypeVar("_Function", bound=Callable[..., Any])

_HAIR = 1e-10
_FAR_BELOW = -20.0
"""exp of less than this is left out beside 1: two billionths."""


def _compiled(function: _Function) -> _Function:
    """`function` compiled; kept on disk for the next process, where numba finds a folder that it may write to."""
    try:
        return cast(_Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(_Function, njit(nogil=True)(function))


class Board(NamedTuple):
    """An assignment under way as plain arrays, caps as rows. Written to: `used`, `held` (offers a contact), `taken` and `cap_left`."""

    starts: IntArray
    profile: IntArray
    action: IntArray
    treatment: IntArray
    uses: FloatArray
    ceiling: FloatArray
    used: FloatArray
    held: IntArray
    taken: BoolArray
    unit_of: IntArray
    members: BoolArray
    cap_left: IntArray
    per_contact: int


@_compiled
def _fits(board: Board, contact: int, offer: int) -> bool:
    profile = board.profile[offer]
    for limit in range(board.uses.shape[1]):
        if board.used[limit] + board.uses[profile, limit] > board.ceiling[limit]:
            return False
    for cap in range(board.unit_of.shape[0]):
        unit = board.unit_of[cap, contact]
        if unit >= 0 and board.members[cap, board.treatment[offer]] and board.cap_left[cap, unit] <= 0:
            return False
    if board.held[contact] > 0:
        for other in range(board.starts[contact], board.starts[contact + 1]):
            if board.taken[other] and board.action[other] == board.action[offer]:
                return False
    return True


@_compiled
def _put(board: Board, contact: int, offer: int) -> None:
    board.taken[offer] = True
    board.held[contact] += 1
    profile = board.profile[offer]
    for limit in range(board.uses.shape[1]):
        board.used[limit] += board.uses[profile, limit]
    for cap in range(board.unit_of.shape[0]):
        unit = board.unit_of[cap, contact]
        if unit >= 0 and board.members[cap, board.treatment[offer]]:
            board.cap_left[cap, unit] -= 1


@_compiled
def _best_that_fits(board: Board, contact: int, worth: FloatArray, wanted: BoolArray) -> int:
    best, found = -np.inf, -1
    for offer in range(board.starts[contact], board.starts[contact + 1]):
        if wanted[offer] and not board.taken[offer] and worth[offer] > best and _fits(board, contact, offer):
            best, found = worth[offer], offer
    return found


@_compiled
def serve(board: Board, contacts: IntArray, worth: FloatArray, wanted: BoolArray) -> IntArray:
    """`Assignment.serve`, but for the exact count at its end; returns the offers that were taken."""
    newly, n = np.empty(len(contacts) * board.per_contact, dtype=np.int64), 0
    for contact in contacts:
        while board.held[contact] < board.per_contact:
            offer = _best_that_fits(board, contact, worth, wanted)
            if offer < 0:
                break
            _put(board, contact, offer)
            newly[n] = offer
            n += 1
    return newly[:n]


@_compiled
def margins(value: FloatArray, profile: IntArray, charge: FloatArray, starts: IntArray) -> tuple[FloatArray, float]:
    """Of a plain contest each contact's margin, and what all best offers are worth after `charge` a profile."""
    margin = np.empty(len(starts) - 1)
    total = 0.0
    for contact in range(len(margin)):
        best, second = -np.inf, -np.inf
        for offer in range(starts[contact], starts[contact + 1]):
            worth = value[offer] - charge[profile[offer]]
            second = max(second, min(best, worth))
            best = max(best, worth)
        margin[contact] = best - max(second, 0.0) if best > 0 else -best
        if best > 0:
            total += best
    return margin, total


@_compiled
def _next_wish(worth: FloatArray, action: IntArray, chosen: BoolArray, begin: int, end: int) -> int:
    """The best offer of one contact whose action is not among those chosen, -1 for none."""
    best, found = -np.inf, -1
    for offer in range(begin, end):
        if worth[offer] > best and not chosen[offer]:
            free = True
            for other in range(begin, end):
                free = free and not (chosen[other] and action[other] == action[offer])
            if free:
                best, found = worth[offer], offer
    return found


@_compiled
def _rival(worth: FloatArray, action: IntArray, chosen: BoolArray, span: tuple[int, int], offer: int) -> float:
    """What the best of the same action that is not chosen is worth, 0 for nothing."""
    rival = 0.0
    for other in range(span[0], span[1]):
        if not chosen[other] and action[other] == action[offer]:
            rival = max(rival, worth[other])
    return rival


@_compiled
def _margin(worth: FloatArray, action: IntArray, chosen: BoolArray, span: tuple[int, int], after: float) -> float:
    """How far the chosen offers of one contact are from their rivals: the next wish at `after`, others of their action, or nothing."""
    margin = np.inf
    for offer in range(span[0], span[1]):
        if chosen[offer]:
            margin = min(margin, worth[offer] - max(after, _rival(worth, action, chosen, span, offer)))
    return margin


@_compiled
def wishes_of_several(worth: FloatArray, action: IntArray, starts: IntArray, room: IntArray) -> tuple[BoolArray, FloatArray, float]:
    """Each contact's best offers, as many as it has `room` for and no action twice: which, the margins, and what they are worth."""
    chosen, margin = np.zeros(len(worth), dtype=np.bool_), np.full(len(room), np.inf)
    total = 0.0
    for contact in range(len(room)):
        begin, end = starts[contact], starts[contact + 1]
        after, left = -np.inf, room[contact]
        while True:
            offer = _next_wish(worth, action, chosen, begin, end)
            after = worth[offer] if offer >= 0 else -np.inf
            if left == 0 or offer < 0 or after <= 0.0:
                break
            chosen[offer] = True
            total += after
            left -= 1
        margin[contact] = _margin(worth, action, chosen, (begin, end), after if left == 0 else 0.0)
        if left > 0 and after > -np.inf:
            margin[contact] = min(margin[contact], -after)
    return chosen, margin, total


@_compiled
def _close_ones(close: IntArray, worth: FloatArray, reach: float) -> tuple[int, float]:
    """Which of one contact's offers come within `reach` of its greatest worth, or of 0: how many, and that greatest."""
    top = 0.0
    for place in range(len(worth)):
        top = max(top, worth[place])
    n, floor = 0, top - reach
    for place in range(len(worth)):
        close[n] = place
        n += worth[place] > floor
    return n, top


@_compiled
def _soften(close: IntArray, worth: FloatArray, top: float, temperature: float) -> float:
    """Put the soft-max shares of the `close` offers into `worth`, in their order; returns the logarithm of the sum, in units of money."""
    total = math.exp(-top / temperature) if top < -_FAR_BELOW * temperature else 0.0
    for rank in range(len(close)):
        worth[rank] = math.exp((worth[close[rank]] - top) / temperature)
        total += worth[rank]
    for rank in range(len(close)):
        worth[rank] /= total
    return temperature * math.log(total)


@_compiled
def _add(total: FloatArray, vector: FloatArray, factor: float) -> None:
    for place in range(len(vector)):
        total[place] += factor * vector[place]


@_compiled
def _add_outer(matrix: FloatArray, vector: FloatArray, factor: float) -> None:
    for row in range(len(vector)):
        if vector[row] != 0.0:
            for column in range(len(vector)):
                matrix[row, column] += factor * vector[row] * vector[column]


@_compiled
def smooth_dual(
    contest: tuple[FloatArray, IntArray, IntArray, FloatArray], charge: FloatArray, temperature: float
) -> tuple[float, FloatArray, FloatArray]:
    """`shadow_prices.smooth_dual` of (value, profile, starts, uses): its value, the shares by profile, the Hessian times temperature.

    Most contacts have one offer that is far ahead: they have no part in the Hessian, and no exponential is taken. The Hessian is a sum of
    covariances of uses: a contact at a time only its mean use is taken off; the second moments are added up by profile.
    """
    value, profile, starts, uses = contest
    sure, shared, curve = np.zeros(len(uses)), np.zeros(len(uses)), np.zeros((uses.shape[1], uses.shape[1]))
    longest = 0
    for contact in range(len(starts) - 1):
        longest = max(longest, starts[contact + 1] - starts[contact])
    close, worth, mean = np.empty(longest + 1, np.int64), np.empty(longest), np.empty(uses.shape[1])
    total, reach = 0.0, -_FAR_BELOW * temperature
    for contact in range(len(starts) - 1):
        begin, length = starts[contact], starts[contact + 1] - starts[contact]
        for place in range(length):
            worth[place] = value[begin + place] - charge[profile[begin + place]]
        n, top = _close_ones(close, worth[:length], reach)
        total += top
        if n == 1 and top >= reach:
            sure[profile[begin + close[0]]] += 1.0
        elif n > 0:
            total += _soften(close[:n], worth, top, temperature)
            mean[:] = 0.0
            for rank in range(n):
                own = profile[begin + close[rank]]
                shared[own] += worth[rank]
                _add(mean, uses[own], worth[rank])
            _add_outer(curve, mean, -1.0)
    for own in range(len(uses)):
        _add_outer(curve, uses[own], shared[own])
    return total, sure + shared, curve


class Trial(NamedTuple):
    """A search over yes and no for a few offers: what each adds to every row, what the rows allow, their prices, and the reduced values.

    Shapes: `uses` (n_offers, n_rows), `right` and `price` (n_rows,), `gain` (n_offers,).
    """

    uses: FloatArray
    right: FloatArray
    price: FloatArray
    gain: FloatArray


@_compiled
def _price_of_slack(trial: Trial, used: FloatArray, least: FloatArray, most: FloatArray) -> float:
    """The least that slack will cost when between `least` and `most` is added to `used`; inf where a row cannot hold any more."""
    loss = 0.0
    for row in range(len(used)):
        if used[row] + least[row] > trial.right[row] + _HAIR:
            return np.inf
        loss += trial.price[row] * max(0.0, trial.right[row] - used[row] - most[row])
    return loss


@_compiled
def try_all(trial: Trial, least_loss: float, trials: int) -> tuple[BoolArray, float, int]:
    """Depth first over the offers: the pattern of the least loss below `least_loss`, that loss, and how many `trials` are left.

    The loss against the linear programme is what offers against the sign of their `gain` cost, and what slack costs at the rows' prices.
    """
    n, n_rows = trial.uses.shape
    least, most, used, loss = np.zeros((n + 1, n_rows)), np.zeros((n + 1, n_rows)), np.zeros((n + 1, n_rows)), np.zeros(n + 1)
    for place in range(n - 1, -1, -1):
        least[place] = least[place + 1] + np.minimum(trial.uses[place], 0.0)
        most[place] = most[place + 1] + np.maximum(trial.uses[place], 0.0)
    tried, taken, best = np.zeros(n + 1, dtype=np.int64), np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    place = 0
    while place >= 0 and trials > 0:
        if place == n:
            least_loss = float(loss[n]) + _price_of_slack(trial, used[n], least[n], most[n])
            best[:] = taken
            place -= 1
        elif tried[place] == 2:
            tried[place] = 0
            place -= 1
        else:
            trials -= 1
            tried[place] += 1
            taken[place] = (trial.gain[place] > 0.0) == (tried[place] == 1)
            loss[place + 1] = loss[place] + (abs(trial.gain[place]) if tried[place] == 2 else 0.0)
            used[place + 1] = used[place]
            if taken[place]:
                used[place + 1] += trial.uses[place]
            if loss[place + 1] + _price_of_slack(trial, used[place + 1], least[place + 1], most[place + 1]) < least_loss - _HAIR:
                place += 1
    return best, least_loss, trials
