"""The promotion gate of the lead score: it decides nothing alone, so it is held to how well it ranks."""

from __future__ import annotations

from collections.abc import Mapping

from training.gate_verdict import Verdict

SOURCE = "held-out contacts"


def judged_by_ranking(challenger: Mapping[str, float], champion: Mapping[str, float]) -> Verdict:
    """Passed where its AUC is not below the champion's.

    Examples
    --------
    >>> judged_by_ranking({"auc": 0.8}, {"auc": 0.7}).reason
    'its AUC is 0.8, the champion has 0.7'
    """
    mine, theirs = challenger.get("auc"), champion.get("auc")
    if mine is None or theirs is None:
        whose = "its" if mine is None else "the champion's"
        return Verdict(False, f"{whose} AUC is not known: it had no test contacts", source=SOURCE)
    return Verdict(mine >= theirs, f"its AUC is {mine:.4g}, the champion has {theirs:.4g}", source=SOURCE)
