"""Who is kept for comparison? Control groups by a salted hash of the contact's id.

The hash gives each contact one number in [0, 1): a group of share s holds the contacts below s. So membership is stable, growing a share
keeps its members, and another salt draws independently (Kohavi, Tang, Xu, Trustworthy Online Controlled Experiments, 2020, chapter 14).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from decisioning.candidates import Candidates, Removal
from decisioning.catalog import Controls
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.vocabulary import BoolArray, FloatArray, TextArray

HOLDOUT = "holdout"
TREATED = "nudge"
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
    digests = [hashlib.blake2b(prefix + str(one).encode(), digest_size=8).digest() for one in contact_ids]
    whole = np.array([int.from_bytes(digest, "big") >> _DROPPED_BITS for digest in digests], dtype=np.float64)
    return whole / 2.0**_KEPT_BITS


def in_holdout(contact_ids: Sequence[str] | TextArray, controls: Controls) -> BoolArray:
    """Which contacts belong to the universal control, shape (n_contacts,)."""
    if controls.holdout == 0:
        return np.zeros(len(contact_ids), dtype=np.bool_)
    return hash_to_unit(contact_ids, f"{controls.salt}|{HOLDOUT}") < controls.holdout


def apply_holdout(candidates: Candidates, catalog: CompiledCatalog, held_out: BoolArray) -> None:
    """Take every candidate of the held-out contacts out, but for mandatory and transactional ones, which are owed to them."""
    removal = Removal("control", HOLDOUT, "kept without contact, to measure what contacting is worth")
    candidates.remove(held_out, np.flatnonzero(catalog.bound_by_limits), removal)
