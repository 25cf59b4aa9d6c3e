"""catalog.yaml as typed, frozen values: what may be proposed to whom, at what worth, within which limits.

`parse_catalog` takes the plain mapping that a YAML reader returns (files are read elsewhere) and either returns a whole `Catalog` or
raises one `ConfigError` that names the path of each wrong key: a policy that is silently ignored would be worse than none.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from decisioning.catalog_checks import check_references
from decisioning.catalog_values import (
    Clock,
    Condition,
    Count,
    Day,
    Days,
    Difference,
    Fraction,
    Money,
    Number,
    Text,
    Webhook,
    Weight,
    Worth,
)
from decisioning.errors import ConfigError
from decisioning.lead_catalog import LeadDefinition
from decisioning.schema_errors import explain_validation_error
from decisioning.triggers import Trigger


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Channel(_Frozen):
    """A way to reach a contact. `cost` is money a contact; without `purpose` no consent is asked for."""

    direction: Literal["inbound", "outbound"]
    cost: Money = 0.0
    purpose: Text | None = None
    placements: tuple[Text, ...] = ()
    quiet_hours: tuple[Clock, Clock] | None = None


class Outcome(_Frozen):
    """What can happen after a touch, within `window_days` of it.

    An outcome is positive unless it says otherwise; an opt-out is negative, a delivery and an impression are neutral.
    """

    kind: Literal["conversion", "response", "opt_out", "delivery", "impression"]
    behaviour: Literal["positive", "negative", "neutral"] = "positive"
    window_days: Days

    @model_validator(mode="before")
    @classmethod
    def _behaviour_by_kind(cls, data: Any) -> Any:
        by_kind = {"opt_out": "negative", "delivery": "neutral", "impression": "neutral"}
        if isinstance(data, Mapping) and "behaviour" not in data and str(data.get("kind")) in by_kind:
            return {**data, "behaviour": by_kind[str(data["kind"])]}
        return data


class Treatment(_Frozen):
    """An action rendered for a channel."""

    id: Text
    channel: Text
    placement: Text | None = None
    content: Text | None = None


class ContextWeight(_Frozen):
    """Raises or lowers the priority while `when` holds."""

    when: Condition
    weight: Weight


class ColdStart(_Frozen):
    """A Beta prior: `propensity` and `uplift` as if seen on `evidence` contacts, until the action has a model of its own."""

    propensity: Fraction
    uplift: Difference
    evidence: Annotated[Number, Field(gt=0)] = 100.0

    @model_validator(mode="after")
    def _baseline_is_a_probability(self) -> ColdStart:
        if not 0 <= self.propensity - self.uplift <= 1:
            raise ValueError("`propensity` less `uplift` is the response without contact, and must lie between 0 and 1")
        return self


class Action(_Frozen):
    """What could be proposed. `value` is money a response: a number, an SQL expression over features, or `observed`."""

    id: Text
    issue: Text = "default"
    group: Text = "default"
    kind: Literal["default", "mandatory", "transactional"] = "default"
    goal: Text | None = None
    value: Worth = 0.0
    cost: Money = 0.0
    valid: tuple[Day, Day] | None = None
    eligibility: Condition | None = None
    applicability: Condition | None = None
    suitability: Condition | None = None
    lever: Weight = 1.0
    context_weights: tuple[ContextWeight, ...] = ()
    cold_start: ColdStart | None = None
    treatments: tuple[Treatment, ...] = Field(min_length=1)

    @field_validator("valid")
    @classmethod
    def _begins_before_it_ends(cls, value: tuple[Day, Day] | None) -> tuple[Day, Day] | None:
        if value and value[0] > value[1]:
            raise ValueError(f"ends before it begins: {value[0]} to {value[1]}")
        return value


class Policy(_Frozen):
    """A contact policy: at most `max` touches per rolling `per_days`, or silence for `suppress_days` `after` an outcome.

    `channel`, `action`, `group` and `issue` say what it holds back; a cap counts the touches of just these. `action: "*"` is every action
    on its own: its own touches, its own outcomes.
    """

    id: Text
    scope: Literal["contact", "account"] = "contact"
    channel: Text | None = None
    action: Text | None = None
    group: Text | None = None
    issue: Text | None = None
    max: Count | None = None
    per_days: Days | None = None
    after: Text | None = None
    suppress_days: Days | None = None

    @model_validator(mode="after")
    def _is_a_cap_or_a_cool_off(self) -> Policy:
        cap, cool_off = (self.max is not None, self.per_days is not None), (self.after is not None, self.suppress_days is not None)
        if all(cap) != all(cool_off) and any(cap) == all(cap) and any(cool_off) == all(cool_off):
            return self
        raise ValueError("a policy is either a cap (`max` and `per_days`) or a cool-off (`after` and `suppress_days`)")


class Constraint(_Frozen):
    """A limit of a plan: a budget (`measure: cost`, money) or a capacity (`measure: contacts`, a count)."""

    id: Text
    measure: Literal["cost", "contacts"]
    max: Money | None = None
    min: Money | None = None
    channel: Text | None = None
    action: Text | None = None
    group: Text | None = None
    issue: Text | None = None
    treatment: Text | None = None
    market: Text | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Constraint:
        if self.max is None and self.min is None:
            raise ValueError("a constraint needs `max` or `min`")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"`min` is above `max`: {self.min:g} and {self.max:g}")
        return self


class Controls(_Frozen):
    """Shares of the population kept as control groups by a salted hash."""

    holdout: Fraction = 0.0
    random: Fraction = 0.0
    propensity_only: Fraction = 0.0
    no_levers: Fraction = 0.0
    eligible_only: Fraction = 0.0
    salt: Text = "nudge"

    @property
    def shares(self) -> dict[str, float]:
        """The share of each group, in the order in which they are drawn."""
        return {name: getattr(self, name) for name in ("holdout", "random", "propensity_only", "no_levers", "eligible_only")}

    @model_validator(mode="after")
    def _leaves_nobody_twice(self) -> Controls:
        together = math.fsum(self.shares.values())
        if together > 1 + 1e-12:
            raise ValueError(f"the shares of the control groups add up to more than everybody: {together:g}")
        return self


class Exploration(_Frozen):
    """Deliberate randomness, within `budget`: money of expected profit given up in a period to learn; 0 turns it off.

    `gamma` (of SquareCB) and `epsilon` (of epsilon-greedy) are for those who know what they want; the budget bounds them all.
    """

    method: Literal["squarecb", "thompson", "epsilon_greedy"] = "squarecb"
    budget: Money = 0.0
    gamma: Annotated[Number, Field(gt=0)] | None = None
    epsilon: Fraction = 0.05


class ContractTerms(_Frozen):
    """Contacts under contract: the attributes that say when it began, when it ended (NULL while it runs) and what it pays a period."""

    start: Text
    end: Text
    value: Text
    period_days: Days = 30.0


class ClvSettings(_Frozen):
    """How customer lifetime value reads purchases: `margin` is the fraction of an event's value that is profit.

    With `contract` it reads contracts instead: the margin of what they pay until they end.
    """

    margin: Annotated[Fraction, Field(gt=0)] = 1.0
    annual_discount_rate: Annotated[Fraction, Field(lt=1)] = 0.1
    contract: ContractTerms | None = None


class Catalog(_Frozen):
    """The whole catalogue. Lookups by id are cached; `fingerprint` changes with any change of content.

    `period_days` is how long a budget lasts: that of the constraints from the plan that published them, and that of exploration.
    `treatments_per_contact` is how many a plan may give one contact, within the contact policies.
    """

    version: Text
    currency: Text
    time_zone: Text
    horizon_days: Days = 365.0
    channels: dict[Text, Channel] = Field(min_length=1)
    outcomes: dict[Text, Outcome] = Field(min_length=1)
    actions: tuple[Action, ...] = Field(min_length=1)
    contact_policy: tuple[Policy, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    period_days: Days = 30.0
    treatments_per_contact: Annotated[Count, Field(ge=1, le=100)] = 1
    controls: Controls = Controls()
    exploration: Exploration = Exploration()
    triggers: tuple[Trigger, ...] = ()
    triggers_webhook: Webhook | None = None
    fallback: dict[Text, dict[Text, Text]] = {}
    lead: LeadDefinition | None = None
    clv: ClvSettings = ClvSettings()
    segments: dict[Text, Condition] = {}

    @model_validator(mode="before")
    @classmethod
    def _an_empty_section_is_left_out(cls, data: Any) -> Any:
        """`constraints:` with nothing under it, or with every line a comment, is None to YAML."""
        if not isinstance(data, Mapping):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {key: value for key, value in data.items() if value is not None or key not in optional}

    @cached_property
    def action_by_id(self) -> dict[str, Action]:
        """Actions by their id."""
        return {action.id: action for action in self.actions}

    @cached_property
    def treatments(self) -> tuple[tuple[Action, Treatment], ...]:
        """Every (action, treatment), in the catalogue's order: the columns of all candidate arrays."""
        return tuple((action, treatment) for action in self.actions for treatment in action.treatments)

    @cached_property
    def fingerprint(self) -> str:
        """`version#hash`: names this content in decisions and plans."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return f"{self.version}#{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"

    def cost_of(self, action: Action, treatment: Treatment) -> float:
        """Money spent to contact one contact with this treatment."""
        return action.cost + self.channels[treatment.channel].cost


def parse_catalog(data: object) -> Catalog:
    """The catalogue in `data`, the plain mapping of a YAML reader.

    Raises
    ------
    ConfigError
        Unknown keys (with the nearest known one), wrong types and dangling references, each with the path of its key.

    Examples
    --------
    >>> catalog = parse_catalog({"version": "1", "currency": "PLN", "time_zone": "Europe/Warsaw",
    ...     "channels": {"email": {"direction": "outbound", "cost": 0.02}},
    ...     "outcomes": {"sale": {"kind": "conversion", "window_days": 30}},
    ...     "actions": [{"id": "loan", "goal": "sale", "value": 100, "treatments": [{"id": "loan_email", "channel": "email"}]}]})
    >>> catalog.action_by_id["loan"].value
    100.0
    """
    if not isinstance(data, Mapping):
        raise ConfigError("is not a mapping of keys", field="catalog.yaml", got=type(data).__name__, hint="is the file empty?")
    try:
        catalog = Catalog.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(explain_validation_error(error, Catalog)) from None
    check_references(catalog)
    return catalog
