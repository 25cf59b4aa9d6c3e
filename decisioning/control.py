"""Who is kept for comparison? Layered control groups by a salted hash of the contact's id.

The hash gives each contact one number in [0, 1) a layer, and the numbers of two layers or two salts are independent of each other
(Kohavi, Tang, Xu, Trustworthy Online Controlled Experiments, 2020, chapter 14). The layers stand in the order of `GROUPS`: with shares
s_1 .. s_5, a contact of numbers u_1 .. u_5 belongs to the first layer l with ::

    u_l < t_l,    t_l = s_l / (1 - s_1 - .. - s_(l-1))

and to `nudge` where there is none: each layer draws among those that the earlier ones left. Hence

- every share is exact: P(layer l) = t_l * prod_(m < l) (1 - t_m) = s_l, because the product is 1 - s_1 - .. - s_(l-1);
- membership is stable: it depends on the contact's id, the salt and the shares alone;
- growing s_j alone leaves t_l of every earlier layer as it is and lowers none of the others. The first l with u_l < t_l then never comes
  later: members of the earlier layers and of layer j stay, and whoever of a later layer moves, moves to layer j or to one between, never
  back to `nudge`. So the holdout, the first, never loses anybody to a share that grows, be it its own or another's.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from decisioning.arbitration import Economics
from decisioning.candidates import Candidates, Removal, Scores
from decisioning.catalog import Controls
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.vocabulary import BoolArray, FloatArray, IntArray, TextArray

HOLDOUT = "holdout"
RANDOM = "random"
PROPENSITY_ONLY = "propensity_only"
NO_LEVERS = "no_levers"
ELIGIBLE_ONLY = "eligible_only"
TREATED = "nudge"
GROUPS = (HOLDOUT, RANDOM, PROPENSITY_ONLY, NO_LEVERS, ELIGIBLE_ONLY, TREATED)
"""In the order in which they are drawn: no action; a random relevant action; ranked by propensity alone; without the marketer's levers;
applicability and suitability not asked; everybody else."""

_LAYERS = GROUPS[:-1]
_TREATED = GROUPS.index(TREATED)
_ROUNDING = 1e-12
_KEPT_BITS = 53  # what a float64 holds exactly: with all 64, the largest would round up to 1
_DROPPED_BITS = 64 - _KEPT_BITS


def hash_to_unit(contact_ids: Iterable[str], salt: str) -> FloatArray:
    """One number in [0, 1) a contact, uniform over contacts and fixed for each.

    Examples
    --------
    >>> bool(hash_to_unit(["c-1"], "s") == hash_to_unit(["c-1"], "s")) and bool(hash_to_unit(["c-1"], "s") != hash_to_unit(["c-1"], "t"))
    True
    """
    prefix = salt.encode() + b"|"
    return np.array([_unit(prefix + str(one).encode()) for one in contact_ids], dtype=np.float64)


def control_groups(contact_ids: Sequence[str] | TextArray, controls: Controls) -> IntArray:
    """The group of each contact as an index into `GROUPS`, shape (n_contacts,); the last, `nudge`, is everybody who is not kept.

    Examples
    --------
    >>> from decisioning.catalog import Controls
    >>> [GROUPS[group] for group in control_groups(["c-1", "c-2", "c-3"], Controls(holdout=0.5, random=0.5))]
    ['random', 'holdout', 'random']
    """
    ids = np.asarray(contact_ids, dtype=np.object_)
    groups: IntArray = np.full(len(ids), _TREATED, dtype=np.int64)
    left = np.arange(len(ids))
    for layer, threshold in enumerate(_thresholds(controls)):
        if threshold > 0:
            drawn = hash_to_unit(ids[left], f"{controls.salt}|{GROUPS[layer]}") < threshold
            groups[left[drawn]] = layer
            left = left[~drawn]
    return groups


Layers: TypeAlias = tuple[tuple[int, float, bytes], ...]
"""Of each layer that keeps anybody: its place in `GROUPS`, the number below which it keeps a contact, what is hashed before its id."""


def layers_of(controls: Controls) -> Layers:
    """The layers as `drawn_for` asks them."""
    salted = (f"{controls.salt}|{name}|".encode() for name in _LAYERS)
    return tuple((place, t, salt) for place, (t, salt) in enumerate(zip(_thresholds(controls), salted, strict=True)) if t > 0)


def drawn_for(contact_id: str, layers: Layers) -> int:
    """`control_groups` of one contact: the first layer that keeps it, or the group of everybody else.

    Examples
    --------
    >>> from decisioning.catalog import Controls
    >>> GROUPS[drawn_for("c-2", layers_of(Controls(holdout=0.5, random=0.5)))]
    'holdout'
    """
    for place, threshold, salt in layers:
        if _unit(salt + contact_id.encode()) < threshold:
            return place
    return _TREATED


def _unit(text: bytes) -> float:
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return float(int.from_bytes(digest, "big") >> _DROPPED_BITS) / 2.0**_KEPT_BITS


@lru_cache(maxsize=64)
def _thresholds(controls: Controls) -> tuple[float, ...]:
    """The t_l of the module's formula; 1 for the layer that takes all that is left, whatever the sum of the shares was rounded to."""
    shares = tuple(controls.shares.values())
    left = [1.0 - math.fsum(shares[:layer]) for layer in range(len(shares))]
    return tuple(
        0.0 if share == 0 else 1.0 if share >= rest - _ROUNDING else share / rest for share, rest in zip(shares, left, strict=True)
    )


def members(groups: IntArray, name: str) -> BoolArray:
    """Which contacts belong to the group `name`, shape (n_contacts,).

    Examples
    --------
    >>> members(np.array([0, 5, 1]), HOLDOUT).tolist()
    [True, False, False]
    """
    return np.asarray(groups == GROUPS.index(name), dtype=np.bool_)


def skips_arbitration(groups: IntArray) -> BoolArray:
    """Whose candidates need not beat no_action, shape (n_contacts,): worth plays no part in what these groups get.

    Examples
    --------
    >>> [GROUPS[group] for group in np.flatnonzero(skips_arbitration(np.arange(len(GROUPS))))]
    ['random', 'propensity_only']
    """
    return members(groups, RANDOM) | members(groups, PROPENSITY_ONLY)


def preference(
    groups: IntArray, catalog: CompiledCatalog, scores: Scores, economics: Economics, seeds: Sequence[str] | TextArray
) -> FloatArray:
    """What each contact's candidates are ranked by, shape (n_contacts, n_treatments): the higher, the sooner.

    The priority; for `random` a uniform number of the contact's seed (its decision id) and the treatment's id; for `propensity_only` the
    propensity, NaN where none is known; for `no_levers` the priority at a lever of 1. Where nobody is in these three groups, this is
    `economics.priority` itself and no copy of it.

    Parameters
    ----------
    groups : array of int, shape (n_contacts,)
    catalog, scores, economics
        Of n_contacts contacts and the catalogue's n_treatments.
    seeds : array of str, shape (n_contacts,)
    """
    random, propensity_only, no_levers = (members(groups, name) for name in (RANDOM, PROPENSITY_ONLY, NO_LEVERS))
    if not (random | propensity_only | no_levers).any():
        return economics.priority
    preferred = economics.priority.copy()
    preferred[propensity_only] = scores.propensity[propensity_only]
    preferred[no_levers] = _without_levers(catalog, economics)[no_levers]
    treatment_ids = [treatment.id for _, treatment in catalog.treatments]
    for row in np.flatnonzero(random).tolist():
        preferred[row] = hash_to_unit(treatment_ids, f"{seeds[row]}|{RANDOM}")
    return preferred


def _without_levers(catalog: CompiledCatalog, economics: Economics) -> FloatArray:
    """context_weight * worth - cost - shadow_cost; where the lever is 1, the priority to its last bit."""
    worth = economics.profit + economics.cost
    unlevered = economics.context_weight * worth - economics.cost - economics.shadow_cost
    return np.where(catalog.lever == 1.0, economics.priority, unlevered)


HELD_OUT = Removal("control", HOLDOUT, "kept without contact, to measure what contacting is worth")
"""What takes out the candidates of the universal control."""


def apply_holdout(candidates: Candidates, catalog: CompiledCatalog, held_out: BoolArray) -> None:
    """Take every candidate of the held-out contacts out, but for mandatory and transactional ones, which are owed to them."""
    candidates.remove(held_out, np.flatnonzero(catalog.bound_by_limits), HELD_OUT)
