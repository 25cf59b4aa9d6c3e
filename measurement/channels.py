"""Which channel would you drop? What a plan without it would lose, and what its money and its contacts earn elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PlanPart:
    """What a plan expects: over all, or of one channel. Money in the catalogue's currency."""

    profit: float
    cost: float = 0.0
    contacts: int = 0


@dataclass(frozen=True)
class Drop:
    """Dropping one channel.

    Attributes
    ----------
    channel : str
    now : PlanPart
        The channel's part of the plan with all channels.
    without : PlanPart
        The whole plan made without it.
    loss : float
        Expected profit given up: of the plan with all channels less of that without; below 0, dropping it gains.
    earned_elsewhere : float
        What its contacts and its budget earn on the other channels: the channel's profit less the loss.
    kept_share : float or None
        The fraction of its profit that is earned elsewhere; None where it has none.
    """

    channel: str
    now: PlanPart
    without: PlanPart
    loss: float
    earned_elsewhere: float
    kept_share: float | None


def drops(whole: PlanPart, parts: Mapping[str, PlanPart], without: Mapping[str, PlanPart]) -> Sequence[Drop]:
    """Each channel's dropping, the one that costs least first: that is the one to drop, if any.

    Parameters
    ----------
    whole : PlanPart
        The plan with all channels.
    parts : mapping of str to PlanPart
        What each channel has of it.
    without : mapping of str to PlanPart
        The plan made again without each channel, under the same constraints.

    Examples
    --------
    >>> found = drops(PlanPart(100.0), {"mail": PlanPart(70.0), "call": PlanPart(30.0)}, {"mail": PlanPart(50.0), "call": PlanPart(95.0)})
    >>> [(one.channel, one.loss, one.earned_elsewhere) for one in found]
    [('call', 5.0, 25.0), ('mail', 50.0, 20.0)]
    """
    unknown = sorted(set(without) - set(parts))
    if unknown:
        raise ValueError(f"without: got channels that have no part of the plan, {', '.join(unknown)}")
    found = []
    for channel, plan in without.items():
        now, loss = parts[channel], whole.profit - plan.profit
        elsewhere = now.profit - loss
        found.append(Drop(channel, now, plan, loss, elsewhere, elsewhere / now.profit if now.profit > 0 else None))
    return sorted(found, key=lambda one: (one.loss, one.channel))
