"""The served bundles and the one way to load them.

==================== ==================================================================
PropensityBundle     `propensity`, `opt_out_risk`, `observed_value`
UpliftBundle         `uplift`
ClvBundle            `clv`
LeadBundle           `probability` (of a lead that it is won)
==================== ==================================================================

Each has `contract_hash`, `feature_dtypes`, `encode` and `save`, and answers one contact and a million with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from estimators.bundle_clv import ClvBundle
from estimators.bundle_files import read_bundle
from estimators.bundle_lead import LeadBundle
from estimators.bundle_propensity import Arm, OptOutHead, PropensityBundle
from estimators.bundle_uplift import UpliftBundle
from estimators.own_score import with_trust

__all__ = ["Arm", "Bundle", "ClvBundle", "LeadBundle", "OptOutHead", "PropensityBundle", "UpliftBundle", "load_bundle"]

Bundle: TypeAlias = PropensityBundle | UpliftBundle | ClvBundle | LeadBundle


def load_bundle(directory: Path, trusted: Sequence[str] = ()) -> Bundle:
    """The bundle that its `save` wrote to a directory, by the kind that it names.

    Parameters
    ----------
    directory : Path
    trusted : sequence of str
        Types that an estimator of the user's own may hold, beside those of numpy, scipy and scikit-learn.

    Raises
    ------
    ValueError
        If there is none, it is damaged, its kind or format version is not known, or it holds a type that is not trusted.
    """
    kind, body = read_bundle(directory)
    readers = {bundle.kind: bundle.from_body for bundle in (PropensityBundle, UpliftBundle, ClvBundle, LeadBundle)}
    if kind not in readers:
        raise ValueError(f"{directory}: the bundle's kind is not known; got {kind!r}; allowed: {', '.join(readers)}")
    try:
        return readers[kind](with_trust(body, trusted))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory}: the bundle lacks a part: {error!r}. Hint: train again") from error
