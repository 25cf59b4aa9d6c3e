"""Why this and not that, and what would change it?

- `reasons.py`: words for what the stages did, for a decision and a plan
- one decision: `explain.py` over `worth_parts.py` (where a priority comes from), `what_if.py` (rules lifted), `tipping.py` (factors moved)
- a population, counted: `funnel.py` and `sensitivity.py`; on a map: `segment_map.py`
"""

from decisioning.explanation.reasons import (
    LIMITED,
    Filtered,
    NoAction,
    explain_choice,
    explain_filtered,
    explain_no_action,
    explain_no_actions,
    explain_nothing,
    segment_name,
    segments,
)

__all__ = [
    "LIMITED",
    "Filtered",
    "NoAction",
    "explain_choice",
    "explain_filtered",
    "explain_no_action",
    "explain_no_actions",
    "explain_nothing",
    "segment_name",
    "segments",
]
