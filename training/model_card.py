"""What a person must know before relying on a model: one page of markdown a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

REFIT = "The figures come from models that saw only the train part. The registered model was then fitted again on all rows."

FAIRNESS = (
    "Groups of fewer than 50 rows are left out. A difference between groups is a finding, not a verdict: it may lie in the business, in "
    "whom the log chose, or in the model."
)
MOST_FEATURES = 15

PURPOSE = {
    "propensity": "P(response within the goal's window | contacted) for each action and channel, the risk of an opt-out after a touch, "
    "and the mean money of a response where the catalogue asks for `observed` values.",
    "uplift": "What an action changes in the probability of its goal: P(goal | contacted) - P(goal | not contacted), for each action.",
    "clv": "Discounted expected margin of a contact over the horizon.",
    "lead": "P(won) of a contact as a lead for sales: that the goal's outcome follows within its window, or that the lead is won.",
}

METHOD = {
    "propensity": "A blend of the base rate, a logistic regression and LightGBM for each action, weighted by out-of-fold log loss and "
    "calibrated only where that pays; channels shift the log odds, drawn towards no shift where rows are few.",
    "uplift": "Cross-fitted doubly robust pseudo-outcomes, weighted by 1 / selection_prob; a non-negative stack of regularised learners "
    "with the average effect in the library; channels shift the effect. Rows for whom the action is not eligible are left out.",
    "clv": "A buy-till-you-die model of the purchases (Pareto/NBD, BG/NBD or MBG/NBD) with Gamma-Gamma for money, corrected by LightGBM "
    "(Poisson, Tweedie) with weights that a later window chose; LightGBM alone where the purchases identify no such model. Intervals are "
    "conformal, from how far off the predictions of that window were. Contacts under contract: a discrete-time hazard of ending.",
    "lead": "A blend of the base rate, a logistic regression and LightGBM, calibrated only where that pays, and beside it a points card of "
    "whole numbers; judged on contacts that it has not seen.",
}


OWN_METHOD = (
    "A classifier of the workspace's own for each action (named under Data), cross-fitted, blended with the base rate by out-of-fold log "
    "loss and calibrated only where that pays; opt-outs and money by our own models. Channels shift the log odds, drawn towards no shift "
    "where rows are few."
)

OWN_UPLIFT_METHOD = (
    "One hierarchical logistic model of all effects; doubly robust pseudo-outcomes, from which a regressor of the workspace's own (named "
    "under Data) learns beside ridge regression; a stack of these with the average effect, by out-of-fold loss; a gate in money."
)

OWN_CLV_METHOD = (
    "Buy-till-you-die models (Pareto/NBD, BG/NBD or MBG/NBD, by back-test) of purchases and Gamma-Gamma of money, corrected by LightGBM "
    "and by a regressor of the workspace's own (named under Data), with weights that a later window chose; the regressor alone where the "
    "purchases identify no such model. Intervals are conformal, from how far off the predictions of that window were."
)


@dataclass(frozen=True)
class CardFacts:
    """What a card says beyond the model's kind.

    Attributes
    ----------
    data : mapping
        Facts about the rows, one line each.
    metrics : mapping
        The figures on the test part.
    warnings : sequence of str
        What limits the model.
    features : mapping of name to share
        How much each feature moves the answers, largest first.
    segments : str
        A markdown table of the groups by prediction; empty where there is none.
    fairness : mapping of sensitive feature to markdown table
    method : str
        In the place of the usual method.
    findings : sequence of str
        What was found that limits nothing.
    """

    title: str
    model: str
    data: Mapping[str, object]
    metrics: Mapping[str, float]
    warnings: Sequence[str]
    features: Mapping[str, float] = field(default_factory=dict)
    segments: str = ""
    fairness: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    findings: Sequence[str] = ()


def model_card(facts: CardFacts) -> str:
    """The card as markdown.

    Examples
    --------
    >>> card = model_card(CardFacts("demo-clv", "clv", {"contacts": 100}, {"rmse.btyd": 12.5}, ["short history"]))
    >>> print(card.splitlines()[0])
    # demo-clv
    """
    parts = [
        f"# {facts.title}",
        PURPOSE[facts.model],
        "## Method",
        facts.method or METHOD[facts.model],
        "## Data",
        "\n".join(f"- {name}: {value}" for name, value in facts.data.items()),
        "## Evaluation",
        REFIT,
        _table(facts.metrics),
        *(["## Findings", "\n".join(f"- {finding}" for finding in facts.findings)] if facts.findings else []),
        *(["## Segments", facts.segments] if facts.segments else []),
        *(["## What moves it", _features(facts.features)] if facts.features else []),
        "## Fairness",
        _fairness(facts.fairness),
        "## Limits",
        "\n".join(f"- {warning}" for warning in facts.warnings) or "- none noticed",
    ]
    return "\n\n".join(parts) + "\n"


def _table(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return "There were no test rows to judge the model by."
    rows = [f"| {name} | {value:.5g} |" for name, value in sorted(metrics.items())]
    return "\n".join(["| metric | value |", "|---|---|", *rows])


def _features(shares: Mapping[str, float]) -> str:
    first = [f"| {name} | {share:.1%} |" for name, share in list(shares.items())[:MOST_FEATURES]]
    return "\n".join(["| feature | share of what moves the answers |", "|---|---|", *first])


def _fairness(tables: Mapping[str, str]) -> str:
    if not tables:
        return "Not compared: nudge.yaml names no feature under `training.sensitive`, or no row of the test part could be judged."
    return "\n\n".join([FAIRNESS, *(part for name, table in tables.items() for part in (f"### {name}", table))])
