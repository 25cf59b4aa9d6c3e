"""What the audit says of suspicious leakage: one warning an attribute, about the outcome that it gives away most plainly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features.leakage import ALMOST_PERFECT_AUC, Leak
from features.leakage_signs import Side, Verdict

_HINT = "leave it out of the source unless it is known before the decision"
_QUESTION = "is it written down after the outcome? If so, leave it out of the source"
_NAMED = 3


def leak_warnings(leaks: Sequence[Leak]) -> Iterator[str]:
    """One warning for each attribute.

    Examples
    --------
    >>> next(leak_warnings([Leak("contacts", "duration", "sold", 0.815, None), Leak("contacts", "duration", "called", 0.81, None)]))
    'contacts.duration: predicts the outcome sold suspiciously well for one attribute (AUC 0.815), and 1 other outcome: is it written
    down after the outcome? If so, leave it out of the source'
    """
    by_attribute: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        by_attribute.setdefault((leak.table, leak.column), []).append(leak)
    for (table, column), found in by_attribute.items():
        worst = max(found, key=lambda leak: leak.auc)
        more = len(found) - 1
        others = f", and {more} other outcome{'s' if more > 1 else ''}" if more else ""
        yield f"{table}.{column}: {_said(worst, others)}"


def _said(leak: Leak, others: str) -> str:
    if leak.auc >= ALMOST_PERFECT_AUC:
        found = f"predicts the outcome {leak.outcome} almost perfectly (AUC {leak.auc:.3f}){others}"
        return f"{found}: it was probably written down after the outcome; {_HINT}"
    if leak.verdict is not None:
        return f"is as good as a verdict on the outcome {leak.outcome} ({_levels(leak.verdict)}){others}: {_QUESTION}"
    return f"predicts the outcome {leak.outcome} suspiciously well for one attribute (AUC {leak.auc:.3f}){others}: {_QUESTION}"


def _levels(verdict: Verdict) -> str:
    return "; ".join(_side(side) for side in (verdict.always, verdict.never) if side is not None)


def _side(side: Side) -> str:
    more = len(side.levels) - _NAMED
    named = ", ".join(side.levels[:_NAMED]) + (f" and {more} more levels" if more > 0 else "")
    return f"{named}: {100 * side.rate:.1f} % have it"
