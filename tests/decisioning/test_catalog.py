"""The catalogue: what it reads as meant, and what it refuses by the exact path of the key."""

from __future__ import annotations

from copy import deepcopy
from datetime import date, time
from typing import Any

import pytest
import yaml

from decisioning.catalog import parse_catalog
from decisioning.catalog_checks import to_come
from decisioning.compiled_catalog import compile_catalog
from decisioning.errors import ConfigError, RuleError
from tests.decisioning.strategies import compiled, make_action, make_catalog

LEFT_OUT = object()
NAN, INFINITY = float("nan"), float("inf")


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A catalogue that says `value` at `path`."""
    data: Any = deepcopy(make_catalog(contact_policy=[{"id": "week", "max": 2, "per_days": 7}]))
    data["constraints"] = [{"id": "budget", "measure": "cost", "max": 10}]
    data["controls"] = {"holdout": 0.1}
    place = data
    for part in path[:-1]:
        place = place[part]
    if value is LEFT_OUT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data  # type: ignore[no-any-return]


TRIGGER = {"id": "cart", "event_type": "cart_abandoned", "actions": ["loan"], "within_minutes": 60}
REFUSED = [
    # unknown keys, at each level
    (("vresion",), 1, "vresion: unknown key. Hint: did you mean 'version'?"),
    (("channels", "email", "costs"), 1, "channels.email.costs: unknown key. Hint: did you mean 'cost'?"),
    (("outcomes", "sale", "windowdays"), 1, "outcomes.sale.windowdays: unknown key. Hint: did you mean 'window_days'?"),
    (("actions", 1, "eligiblity"), "true", "actions[1].eligiblity: unknown key. Hint: did you mean 'eligibility'?"),
    (("actions", 0, "treatments", 2, "chanel"), "web", "actions[0].treatments[2].chanel: unknown key. Hint: did you mean 'channel'?"),
    (("actions", 0, "cold_start"), {"propensity": 0.1, "uplift": 0.0, "evidense": 3}, "actions[0].cold_start.evidense: unknown key"),
    (("actions", 0, "context_weights"), [{"wen": "true", "weight": 1}], "actions[0].context_weights[0].wen: unknown key"),
    (("contact_policy", 0, "per_day"), 7, "contact_policy[0].per_day: unknown key. Hint: did you mean 'per_days'?"),
    (("constraints", 0, "chanel"), "web", "constraints[0].chanel: unknown key. Hint: did you mean 'channel'?"),
    (("controls", "hold_out"), 0.1, "controls.hold_out: unknown key. Hint: did you mean 'holdout'?"),
    (("clv",), {"margn": 1}, "clv.margn: unknown key. Hint: did you mean 'margin'?"),
    # missing keys
    (("version",), LEFT_OUT, "version: is missing"),
    (("actions",), LEFT_OUT, "actions: is missing"),
    (("channels", "email", "direction"), LEFT_OUT, "channels.email.direction: is missing"),
    (("actions", 1, "id"), LEFT_OUT, "actions[1].id: is missing"),
    (("actions", 0, "goal"), LEFT_OUT, "actions[0].goal: is missing: a default action names the outcome it is there to cause"),
    (("actions", 0, "treatments", 0, "channel"), LEFT_OUT, "actions[0].treatments[0].channel: is missing"),
    # dangling references
    (("actions", 0, "goal"), "sael", "actions[0].goal: is not declared; got 'sael'; allowed: reject, sale. Hint: did you mean 'sale'?"),
    (("actions", 1, "treatments", 0, "channel"), "emial", "actions[1].treatments[0].channel: is not declared; got 'emial'"),
    (("actions", 0, "treatments", 2, "placement"), "heros", "actions[0].treatments[2].placement: is not declared; got 'heros'"),
    (("actions", 0, "treatments", 0, "placement"), "hero", "got 'hero'; allowed: none is declared"),
    (("contact_policy", 0, "channel"), "sms", "contact_policy[0].channel: is not declared; got 'sms'; allowed: call, email, web"),
    (("contact_policy", 0, "action"), "laon", "contact_policy[0].action: is not declared; got 'laon'; allowed: *, card, loan"),
    (("contact_policy", 0, "group"), "loans", "contact_policy[0].group: is not declared"),
    (("contact_policy", 0, "issue"), "sale", "contact_policy[0].issue: is not declared; got 'sale'; allowed: sales"),
    (("contact_policy", 0), {"id": "a", "after": "rejct", "suppress_days": 3}, "contact_policy[0].after: is not declared; got 'rejct'"),
    (("constraints", 0, "treatment"), "loan_sms", "constraints[0].treatment: is not declared; got 'loan_sms'"),
    (("constraints", 0, "action"), "*", "constraints[0].action: is not declared; got '*'; allowed: card, loan"),
    (("fallback",), {"wbe": {}}, "fallback: is not declared; got 'wbe'; allowed: call, email, web. Hint: did you mean 'web'?"),
    (("fallback",), {"web": {"top": "a"}}, "fallback.web: is not declared; got 'top'; allowed: hero, strip"),
    (("time_zone",), "Europe/Warszawa", "time_zone: unknown time zone; got 'Europe/Warszawa'; allowed: an IANA name"),
    (("time_zone",), "Europe", "time_zone: unknown time zone; got 'Europe'"),
    # duplicates
    (("actions", 1, "id"), "loan", "actions[1].id: ids must be unique, and this is also that of actions[0]; got 'loan'"),
    (("actions", 1, "treatments", 1, "id"), "loan_email", "actions[1].treatments[1].id: ids must be unique"),
    (("contact_policy",), [{"id": "a", "max": 1, "per_days": 1}] * 2, "contact_policy[1].id: ids must be unique"),
    (("constraints",), [{"id": "a", "measure": "cost", "max": 1}] * 2, "constraints[1].id: ids must be unique"),
    (("actions", 0, "id"), "no_action", "actions[0].id: `no_action` is Nudge's own word"),
    # wrong types and values
    (("channels", "email", "cost"), -1, "channels.email.cost: should be at least 0; got -1"),
    (("channels", "email", "cost"), NAN, "channels.email.cost: should be a finite number; got nan"),
    (("channels", "email", "cost"), INFINITY, "channels.email.cost: should be a finite number; got inf"),
    (("channels", "email", "cost"), "cheap", "channels.email.cost: should be a number"),
    (("channels", "email", "cost"), True, "channels.email.cost: should be a number (YAML reads yes, no, on and off as true and false"),
    (("channels", "email", "direction"), "inbond", "channels.email.direction: should be 'inbound' or 'outbound'; got 'inbond'"),
    (("channels", "email", "purpose"), False, "channels.email.purpose: should be a text (YAML reads yes, no, on and off"),
    (("actions", 0, "cost"), -0.5, "actions[0].cost: should be at least 0; got -0.5"),
    (("actions", 0, "cost"), NAN, "actions[0].cost: should be a finite number; got nan"),
    (("actions", 0, "value"), NAN, "actions[0].value: should be a finite number, an SQL expression or `observed`; got nan"),
    (("actions", 0, "value"), "inf", "actions[0].value: should be a finite number, an SQL expression or `observed`; got 'inf'"),
    (("actions", 0, "value"), True, "actions[0].value: should be a number, an SQL expression or `observed`; got True"),
    (("actions", 0, "value"), [1], "actions[0].value: should be a number, an SQL expression or `observed`"),
    (("actions", 0, "lever"), NAN, "actions[0].lever: should be a finite number"),
    (("actions", 0, "kind"), "urgent", "actions[0].kind: should be 'default', 'mandatory' or 'transactional'; got 'urgent'"),
    (("actions", 0, "eligibility"), "", "actions[0].eligibility: is empty"),
    (
        ("actions", 0, "cold_start"),
        {"propensity": 1.2, "uplift": 0},
        "actions[0].cold_start.propensity: should be at most 1",
    ),
    (("actions", 0, "cold_start"), {"propensity": 0.1, "uplift": 0.2}, "actions[0].cold_start: `propensity` less `uplift` is the response"),
    (
        ("actions", 0, "cold_start"),
        {"propensity": 0.1, "uplift": 0.0, "evidence": INFINITY},
        "actions[0].cold_start.evidence: should be a finite",
    ),
    (("actions", 0, "valid"), ["2026-12-31", "2026-01-01"], "actions[0].valid: ends before it begins: 2026-12-31 to 2026-01-01"),
    (("actions", 0, "valid"), ["2026-01-01"], "actions[0].valid[1]: is missing"),
    (("actions", 0, "valid"), [0, 1], "actions[0].valid[0]: should be a day such as 2026-01-31; got 0"),
    (("actions", 0, "valid"), ["2026-02-30", "2026-03-01"], "actions[0].valid[0]: should be a valid date"),
    (("channels", "email", "quiet_hours"), ["21:00"], "channels.email.quiet_hours[1]: is missing"),
    (
        ("channels", "email", "quiet_hours"),
        ["21:00", "25:00"],
        'channels.email.quiet_hours[1]: should be a time of day in quotes, such as "21:00"',
    ),
    (("channels", "email", "quiet_hours"), [2100, "08:00"], "channels.email.quiet_hours[0]: should be a time of day in quotes"),
    (("channels", "email", "quiet_hours"), [True, "08:00"], "channels.email.quiet_hours[0]: should be a time of day in quotes"),
    (("channels", "email", "quiet_hours"), ["21:00+02:00", "08:00"], "channels.email.quiet_hours[0]: should be a time of day in quotes"),
    (("outcomes", "sale", "window_days"), 0, "outcomes.sale.window_days: should be above 0; got 0"),
    (("outcomes", "sale", "window_days"), 1e12, "outcomes.sale.window_days: should be at most 36525"),
    (("contact_policy", 0, "max"), 1.5, "contact_policy[0].max: should be a whole number"),
    (("contact_policy", 0, "max"), -1, "contact_policy[0].max: should be at least 0"),
    (("contact_policy", 0, "max"), LEFT_OUT, "contact_policy[0]: a policy is either a cap (`max` and `per_days`) or a cool-off"),
    (("contact_policy", 0, "after"), "reject", "contact_policy[0]: a policy is either a cap (`max` and `per_days`) or a cool-off"),
    (("constraints", 0, "max"), LEFT_OUT, "constraints[0]: a constraint needs `max` or `min`"),
    (("constraints", 0, "max"), NAN, "constraints[0].max: should be a finite number"),
    (("constraints", 0, "measure"), "money", "constraints[0].measure: should be 'cost' or 'contacts'; got 'money'"),
    (("controls", "holdout"), 1.5, "controls.holdout: should be at most 1; got 1.5"),
    (("triggers",), [{**TRIGGER, "actions": ["laon"]}], "triggers[0].actions[0]: is not declared; got 'laon'"),
    (("triggers",), [{**TRIGGER, "chanel": "email"}], "triggers[0].chanel: unknown key. Hint: did you mean 'channel'?"),
    (("triggers",), [{**TRIGGER, "segment": "yuong"}], "triggers[0].segment: is not declared; got 'yuong'"),
    (("triggers",), [{**TRIGGER, "channel": "fax"}], "triggers[0].channel: is not declared; got 'fax'"),
    (("triggers",), [TRIGGER, TRIGGER], "triggers[1].id: ids must be unique"),
    (("triggers",), [{"id": "t", "actions": ["loan"]}], "triggers[0]: a trigger needs what fires it: `event_type`, `enters`"),
    (("triggers",), [{**TRIGGER, "score": "uplift"}], "triggers[0]: `score` and `above` go together"),
    (("triggers",), [{**TRIGGER, "score": "uplift", "above": 0.1}], "triggers[0]: `action` says of which action the score is"),
    (("triggers",), [{**TRIGGER, "enters": "age > 3", "score": "clv", "above": 1}], "triggers[0]: one of `enters`, `segment` and `score`"),
    (("triggers",), [{**TRIGGER, "every_minutes": 5}], "triggers[0]: with `every_minutes` no event fires it"),
    (("triggers",), [{"id": "t", "actions": ["loan"], "every_minutes": 5}], "triggers[0]: a trigger needs what fires it"),
    (("triggers",), [{**TRIGGER, "every_minutes": 0.5}], "triggers[0].every_minutes: "),
    (("triggers",), [{**TRIGGER, "within_minutes": 0}], "triggers[0].within_minutes: should be above 0"),
    (("triggers_webhook",), "example.com/hook", "triggers_webhook: should be an address that begins with https://"),
    (("horizon_days",), 0, "horizon_days: should be above 0; got 0"),
    # empty or of another shape
    (("actions",), [], "actions: is empty: it needs at least one entry"),
    (("actions",), None, "actions: should be a list; got nothing"),
    (("actions", 0), "loan", "actions[0]: should be a mapping of keys; got 'loan'"),
    (("actions", 0, "treatments"), [], "actions[0].treatments: is empty: it needs at least one entry"),
    (("channels",), {}, "channels: is empty: it needs at least one entry"),
    (("channels",), [], "channels: should be a mapping of keys"),
    (("channels", "email"), None, "channels.email: should be a mapping of keys; got nothing"),
    (("outcomes",), None, "outcomes: should be a mapping of keys; got nothing"),
    (("version",), "", "version: is empty"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_a_wrong_catalogue_is_refused_by_the_path_of_its_key(path: tuple[str | int, ...], value: object, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_catalog(changed(path, value))
    assert message in str(refusal.value)


@pytest.mark.parametrize(("data", "got"), [(None, "NoneType"), ([], "list"), ("", "str"), (7, "int")])
def test_a_file_that_is_no_mapping_is_refused(data: object, got: str) -> None:
    with pytest.raises(ConfigError, match=f"catalog.yaml: is not a mapping of keys; got {got}. Hint: is the file empty?"):
        parse_catalog(data)


def test_many_findings_are_cut_short() -> None:
    with pytest.raises(ConfigError, match="version: is missing; currency: is missing; .*; and 1 more"):
        parse_catalog({})


@pytest.mark.parametrize("section", ["contact_policy", "constraints", "controls", "exploration", "triggers", "fallback", "lead", "clv"])
def test_an_empty_optional_section_is_left_out(section: str) -> None:
    assert parse_catalog(make_catalog(**{section: None})) == parse_catalog(make_catalog())


CONTRACT_EXAMPLE = """
version: "2026-11-22"
currency: PLN
time_zone: Europe/Warsaw
horizon_days: 365                     # of CLV
channels:
  email: {direction: outbound, cost: 0.02, purpose: email_marketing, quiet_hours: ["21:00", "08:00"]}
  call:  {direction: outbound, cost: 18.0, purpose: phone_marketing}
  web:   {direction: inbound, cost: 0.0, placements: [home_hero, offer_strip]}
outcomes:
  loan_taken:  {kind: conversion, behaviour: positive, window_days: 30}
  click:       {kind: response, behaviour: positive, window_days: 7}
  unsubscribe: {kind: opt_out, behaviour: negative, window_days: 30}
actions:
  - id: personal_loan
    issue: sales
    group: lending
    kind: default                     # default | mandatory | transactional
    goal: loan_taken
    value: 0.04 * requested_amount    # number, SQL expression over features, or `observed` (learned from outcomes.value)
    cost: 0.0                         # per contact, on top of the channel's
    valid: ["2026-01-01", "2026-12-31"]
    eligibility: age >= 18 AND NOT coalesce(has_loan, false)
    applicability: days_since_last_login <= 90
    suitability: debt_ratio < 0.6
    lever: 1.0
    context_weights: [{when: "context.intent = 'borrow'", weight: 1.5}]
    cold_start: {propensity: 0.02, uplift: 0.005, evidence: 200}
    treatments:
      - {id: personal_loan_email_a, channel: email, content: loan_a}
      - {id: personal_loan_hero, channel: web, placement: home_hero, content: loan_hero}
contact_policy:                       # rolling windows; all must hold
  - {id: email_week, channel: email, max: 2, per_days: 7}
  - {id: any_month, max: 5, per_days: 30}
  - {id: after_reject, action: "*", after: reject, suppress_days: 30}
  - {id: firm_week, scope: account, max: 2, per_days: 7}
constraints:                          # of a plan, and of real time through their shadow prices
  - {id: budget, measure: cost, max: 50000}
  - {id: calls, channel: call, measure: contacts, max: 500}
  - {id: loan_min, action: personal_loan, measure: contacts, min: 1000}
controls: {holdout: 0.02, random: 0.01, salt: "2026q4"}
exploration: {method: squarecb, budget: 500.0}   # money of expected profit per period given up to learn; 0 turns it off
triggers:                             # event-triggered actions
  - {id: cart, event_type: cart_abandoned, actions: [cart_reminder], within_minutes: 60}
triggers_webhook: null                # URL that gets decisions as CloudEvents
fallback: {web: {home_hero: brand_banner}}
lead: null                            # or the lead definition: fit, behaviour, asked answers, threshold, owner rule
"""


def test_the_contracts_own_example_reads_as_it_is_written() -> None:
    catalog = parse_catalog(yaml.safe_load(CONTRACT_EXAMPLE))
    loan = catalog.action_by_id["personal_loan"]
    assert loan.valid == (date(2026, 1, 1), date(2026, 12, 31))
    assert loan.value == "0.04 * requested_amount"
    assert catalog.channels["email"].quiet_hours == (time(21), time(8))
    assert [treatment.id for _, treatment in catalog.treatments] == ["personal_loan_email_a", "personal_loan_hero"]
    assert catalog.cost_of(*catalog.treatments[0]) == 0.02
    assert [policy.id for policy in catalog.contact_policy] == ["email_week", "any_month", "after_reject", "firm_week"]


def test_what_a_catalogue_names_before_it_is_declared_stands_for_nothing_and_is_said() -> None:
    catalog = parse_catalog(yaml.safe_load(CONTRACT_EXAMPLE))
    assert to_come(catalog) == [
        "contact_policy[2].after: 'reject' is not declared under outcomes, so the policy after_reject never applies",
        "triggers[0].actions: cart_reminder is not declared under actions, so the trigger cart decides nothing",
    ]
    dtypes = {"requested_amount": "float", "age": "int", "has_loan": "bool", "days_since_last_login": "float", "debt_ratio": "float"}
    assert compile_catalog(catalog, dtypes).triggers == ()  # type: ignore[arg-type]


MEANT = """
version: 2026-11-22
currency: PLN
time_zone: UTC
channels: {email: {direction: outbound, cost: "0.02", quiet_hours: [21:00, 08:00]}}
outcomes:
  sale: {kind: conversion, window_days: 30}
  gone: {kind: opt_out, window_days: 30}
  seen: {kind: impression, window_days: 1}
actions:
  - id: 7
    goal: sale
    value: "12.5"
    eligibility: true
    suitability: yes
    valid: [2026-01-01, 2026-12-31]
    treatments: [{id: 7a, channel: email}]
"""


def test_what_yaml_turns_into_something_else_is_read_as_it_was_meant() -> None:
    catalog = parse_catalog(yaml.safe_load(MEANT))
    action = catalog.actions[0]
    assert (catalog.version, action.id, action.value) == ("2026-11-22", "7", 12.5)
    assert (action.eligibility, action.suitability) == ("true", "true")
    assert (catalog.channels["email"].cost, catalog.channels["email"].quiet_hours) == (0.02, (time(21), time(8)))
    assert action.valid == (date(2026, 1, 1), date(2026, 12, 31))
    assert [outcome.behaviour for outcome in catalog.outcomes.values()] == ["positive", "negative", "neutral"]


def test_only_default_actions_need_a_goal() -> None:
    notice = make_action("notice", kind="mandatory", goal=None)
    assert parse_catalog(make_catalog([notice])).actions[0].goal is None


def test_any_change_of_content_changes_the_fingerprint_and_nothing_else_does() -> None:
    first = parse_catalog(make_catalog())
    assert first.fingerprint == parse_catalog(make_catalog()).fingerprint
    assert first.fingerprint != parse_catalog(changed(("channels", "email", "cost"), 0.51)).fingerprint
    assert first.fingerprint.startswith("1#")


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ({"eligibility": "agee > 3"}, "actions[1].eligibility: unknown column 'agee'"),
        ({"applicability": "age > 'x'"}, "actions[1].applicability: a number is needed here"),
        ({"suitability": "max(age) > 1"}, "actions[1].suitability: MAX is outside the SQL subset"),
        ({"value": "0.1 * turnover"}, "actions[1].value: unknown column 'turnover'"),
        (
            {"context_weights": [{"when": "true", "weight": 1}, {"when": "context", "weight": 1}]},
            "actions[1].context_weights[1].when: unknown",
        ),
    ],
)
def test_a_rule_that_does_not_fit_the_features_is_refused_by_its_path(action: dict[str, Any], path: str) -> None:
    with pytest.raises(RuleError) as refusal:
        compiled(make_catalog([make_action("loan"), make_action("card", **action)]))
    assert str(refusal.value).startswith(path)


def test_all_rules_that_do_not_fit_are_named_at_once() -> None:
    wrong = [make_action(f"a{i}", eligibility="agee > 3", applicability=f"turnover > {i}") for i in range(6)]
    with pytest.raises(RuleError) as refusal:
        compiled(make_catalog([make_action("loan", value="0.1 * turnover"), *wrong]))
    lines = str(refusal.value).splitlines()
    assert lines[0] == "8 rules do not fit"
    assert lines[1:4] == ["actions[0].value: unknown column 'turnover'", "  0.1 * turnover", "        ^^^^^^^^"]
    assert [line.split(":")[0] for line in lines if line.startswith("actions[")] == [
        "actions[0].value",
        "actions[1].eligibility",
        *(f"actions[{i}].applicability" for i in (1, 2, 3)),
    ]
    assert "The same text: " + ", ".join(f"actions[{i}].eligibility" for i in range(2, 7)) in lines
    assert lines[-1] == "and 3 more"


def test_one_wrong_rule_of_many_actions_names_them_all() -> None:
    with pytest.raises(RuleError) as refusal:
        compiled(make_catalog([make_action(f"a{i}", suitability="agee > 3") for i in range(3)]))
    assert str(refusal.value).startswith("actions[0].suitability: unknown column 'agee'")
    assert str(refusal.value).endswith("The same text: actions[1].suitability, actions[2].suitability")


def test_actions_share_the_rules_that_say_the_same() -> None:
    data = [make_action("loan", eligibility="age > 18 AND has_loan"), make_action("card", eligibility="city = 'a' AND age > 18")]
    catalog = compiled(make_catalog([*data, make_action("fund", suitability="age > 18", context_weights=[{"when": "true", "weight": 2}])]))
    shared = [(rule.stage, rule.expression.text, rule.columns.tolist()) for rule in catalog.conditions.rules]
    assert shared == [
        ("eligibility", "age > 18", [0, 1, 2]),
        ("eligibility", "city = 'a'", [3, 4, 5]),
        ("eligibility", "has_loan", [0, 1, 2]),
        ("eligibility", "age > 18", [3, 4, 5]),
        ("suitability", "age > 18", [6, 7, 8]),
    ]
    assert len({rule.expression for rule in catalog.conditions.rules}) == 3


def test_compiling_works_out_what_each_policy_and_constraint_is_about() -> None:
    data = make_catalog(
        [make_action("loan", cost=1.0), make_action("notice", kind="mandatory", issue="service")],
        contact_policy=[{"id": "web_cap", "channel": "web", "max": 1, "per_days": 1}],
        constraints=[{"id": "money", "measure": "cost", "max": 5}, {"id": "calls", "measure": "contacts", "channel": "call", "max": 1}],
    )
    catalog = compiled(data)
    assert catalog.cost.tolist() == [1.5, 5.0, 1.0, 0.5, 4.0, 0.0]
    assert catalog.held_back_by["web_cap"].tolist() == [False, False, True, False, False, False]
    assert catalog.use_per_contact["money"].tolist() == catalog.cost.tolist()
    assert catalog.use_per_contact["calls"].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    assert (catalog.on_channel["call"].tolist(), catalog.mandatory.tolist()) == ([1, 4], [False] * 3 + [True] * 3)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("controls",),
            {"holdout": 0.7, "random": 0.4},
            "controls: the shares of the control groups add up to more than everybody: 1.1",
        ),
        (("constraints", 0), {"id": "a", "measure": "contacts", "min": 5, "max": 4}, "constraints[0]: `min` is above `max`: 5 and 4"),
        (("constraints", 0), {"id": "a", "measure": "contacts"}, "constraints[0]: a constraint needs `max` or `min`"),
        (("period_days",), 0, "period_days: should be above 0"),
        (("treatments_per_contact",), 0, "treatments_per_contact: should be at least 1"),
        (("exploration",), {"method": "ucb", "budget": 1}, "exploration.method"),
        (("exploration",), {"gamma": 0, "budget": 1}, "exploration.gamma"),
        (("exploration",), {"epsilon": 1.5, "budget": 1}, "exploration.epsilon"),
    ],
)
def test_limits_groups_and_exploration_that_cannot_be_are_refused(path: tuple[str | int, ...], value: object, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_catalog(changed(path, value))
    assert str(refusal.value).startswith(message)
