"""catalog.yaml as typed, frozen values: what may be proposed to whom, at what worth, within which limits.

`parse_catalog` takes the plain mapping that a YAML reader returns (files are read elsewhere) and either returns a whole `Catalog` or raises
one `ConfigError` that names the path of each wrong key. What this version of Nudge does not do yet is refused by `NotSupportedYet`: a policy
that is silently ignored would be worse than none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, time
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from decisioning.errors import ConfigError, NotSupportedYet, nearest
from decisioning.schema_errors import explain_validation_error
from decisioning.vocabulary import NO_ACTION


def _text(value: object) -> object:
    """YAML reads `2026-11-22` as a date and `7` as a number where a text is meant."""
    return str(value) if isinstance(value, date | int | float) and not isinstance(value, bool) else value


def _condition(value: object) -> object:
    """YAML reads the condition `true` as a boolean."""
    return str(value).lower() if isinstance(value, bool) else _text(value)


def _clock(value: object) -> object:
    """YAML 1.1 reads an unquoted 21:00 as the number 1260: minutes, which is what was meant."""
    return time(value // 60, value % 60) if isinstance(value, int) and 0 <= value < 1440 else value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Condition = Annotated[str, BeforeValidator(_condition), Field(min_length=1)]
Clock = Annotated[time, BeforeValidator(_clock)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


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
    """What can happen after a touch, within `window_days` of it."""

    kind: Literal["conversion", "response", "opt_out", "delivery", "impression"]
    behaviour: Literal["positive", "negative", "neutral"] = "positive"
    window_days: Days

    @model_validator(mode="before")
    @classmethod
    def _opt_outs_are_negative(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("kind") == "opt_out" and "behaviour" not in data:
            return {**data, "behaviour": "negative"}
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
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ColdStart(_Frozen):
    """A Beta prior: `propensity` and `uplift` as if seen on `evidence` contacts, until the action has a model of its own."""

    propensity: Fraction
    uplift: Annotated[float, Field(ge=-1, le=1)]
    evidence: Annotated[float, Field(gt=0)] = 100.0


class Action(_Frozen):
    """What could be proposed. `value` is money a response: a number, an SQL expression over features, or `observed`."""

    id: Text
    issue: Text = "default"
    group: Text = "default"
    kind: Literal["default", "mandatory", "transactional"] = "default"
    goal: Text | None = None
    value: Annotated[float | str, Field(union_mode="left_to_right")] = 0.0
    cost: Money = 0.0
    valid: tuple[date, date] | None = None
    eligibility: Condition | None = None
    applicability: Condition | None = None
    suitability: Condition | None = None
    lever: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    context_weights: tuple[ContextWeight, ...] = ()
    cold_start: ColdStart | None = None
    treatments: tuple[Treatment, ...] = Field(min_length=1)

    @field_validator("value")
    @classmethod
    def _finite(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise ValueError("a value is a finite number, an SQL expression or `observed`")
        return value

    @model_validator(mode="after")
    def _needs_a_goal(self) -> Action:
        if self.kind == "default" and self.goal is None:
            raise ValueError("a default action needs a `goal`: the outcome it is there to cause")
        if self.valid and self.valid[0] > self.valid[1]:
            raise ValueError("`valid` ends before it begins")
        return self


class Policy(_Frozen):
    """A contact policy: at most `max` touches per rolling `per_days`, or silence for `suppress_days` `after` an outcome."""

    id: Text
    scope: Literal["contact", "account"] = "contact"
    channel: Text | None = None
    action: Text | None = None
    group: Text | None = None
    issue: Text | None = None
    max: Annotated[int, Field(ge=0)] | None = None
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
    max: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    min: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
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
        return self


class Controls(_Frozen):
    """Shares of the population kept as control groups by a salted hash."""

    holdout: Fraction = 0.0
    random: Fraction = 0.0
    propensity_only: Fraction = 0.0
    no_levers: Fraction = 0.0
    eligible_only: Fraction = 0.0
    salt: Text = "nudge"


class Exploration(_Frozen):
    """Deliberate randomness, within `budget`: money of expected profit given up to learn."""

    method: Literal["squarecb", "thompson", "epsilon_greedy"] = "squarecb"
    budget: Money = 0.0


class ClvSettings(_Frozen):
    """How customer lifetime value reads purchases: `margin` is the fraction of an event's value that is profit."""

    margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    annual_discount_rate: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Catalog(_Frozen):
    """The whole catalogue. Lookups by id are cached; `fingerprint` changes with any change of content."""

    version: Text
    currency: Text
    time_zone: Text
    horizon_days: Days = 365.0
    channels: dict[Text, Channel] = Field(min_length=1)
    outcomes: dict[Text, Outcome] = Field(min_length=1)
    actions: tuple[Action, ...] = Field(min_length=1)
    contact_policy: tuple[Policy, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    controls: Controls = Controls()
    exploration: Exploration = Exploration()
    triggers: tuple[dict[str, Any], ...] = ()
    triggers_webhook: str | None = None
    fallback: dict[Text, dict[Text, Text]] = {}
    lead: dict[str, Any] | None = None
    clv: ClvSettings = ClvSettings()

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
    NotSupportedYet
        A key of the contract that this version does not do.

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
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain_validation_error(error, Catalog)) from None
    _check_references(catalog)
    _refuse_what_is_not_done(catalog)
    return catalog


def _check_references(catalog: Catalog) -> None:
    try:
        ZoneInfo(catalog.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError("unknown time zone", field="time_zone", got=catalog.time_zone, allowed="an IANA name such as Europe/Warsaw") from None
    _refuse_duplicates("actions", [action.id for action in catalog.actions])
    _refuse_duplicates("treatments", [treatment.id for _, treatment in catalog.treatments])
    _refuse_duplicates("contact_policy", [policy.id for policy in catalog.contact_policy])
    _refuse_duplicates("constraints", [constraint.id for constraint in catalog.constraints])
    if NO_ACTION in catalog.action_by_id:
        raise ConfigError("`no_action` is Nudge's own word for doing nothing and cannot be an action", field="actions")
    for index, action in enumerate(catalog.actions):
        if action.goal is not None:
            _known(f"actions[{index}].goal", action.goal, catalog.outcomes)
        for place, treatment in enumerate(action.treatments):
            path = f"actions[{index}].treatments[{place}]"
            _known(f"{path}.channel", treatment.channel, catalog.channels)
            channel = catalog.channels[treatment.channel]
            if treatment.placement is not None:
                _known(f"{path}.placement", treatment.placement, channel.placements)
    _check_policies(catalog)
    _check_fallback(catalog)


def _check_policies(catalog: Catalog) -> None:
    known = {
        "channel": set(catalog.channels),
        "action": set(catalog.action_by_id),
        "group": {action.group for action in catalog.actions},
        "issue": {action.issue for action in catalog.actions},
        "treatment": {treatment.id for _, treatment in catalog.treatments},
        "after": set(catalog.outcomes),
    }
    for name, entries in (("contact_policy", catalog.contact_policy), ("constraints", catalog.constraints)):
        for index, entry in enumerate(entries):
            for key, names in known.items():
                value = getattr(entry, key, None)
                if value is not None and not (value == "*" and key == "action"):
                    _known(f"{name}[{index}].{key}", value, names)


def _check_fallback(catalog: Catalog) -> None:
    for channel, placements in catalog.fallback.items():
        _known("fallback", channel, catalog.channels)
        for placement in placements:
            _known(f"fallback.{channel}", placement, catalog.channels[channel].placements)


def _known(path: str, name: str, names: Any) -> None:
    if name not in names:
        listed = ", ".join(sorted(names)) or "none is declared"
        raise ConfigError("is not declared", field=path, got=f"'{name}'", allowed=listed, hint=nearest(name, names))


def _refuse_duplicates(path: str, ids: list[str]) -> None:
    twice = sorted({one for one in ids if ids.count(one) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise ConfigError("ids must be unique", field=path, got=f"twice: {', '.join(twice)}")


def _refuse_what_is_not_done(catalog: Catalog) -> None:
    not_done = {
        "exploration": catalog.exploration.budget > 0,
        "triggers": bool(catalog.triggers),
        "triggers_webhook": catalog.triggers_webhook is not None,
        "lead": catalog.lead is not None,
        **{f"controls.{name}": getattr(catalog.controls, name) > 0 for name in ("random", "propensity_only", "no_levers", "eligible_only")},
        **{f"contact_policy[{i}].scope": policy.scope == "account" for i, policy in enumerate(catalog.contact_policy)},
        **{f"constraints[{i}].min": constraint.min is not None for i, constraint in enumerate(catalog.constraints)},
    }
    for path, used in not_done.items():
        if used:
            raise NotSupportedYet("not supported yet", field=path, hint="leave this key out for now; it comes in a later version")
