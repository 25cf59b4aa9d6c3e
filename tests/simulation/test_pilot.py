"""The pilot is a randomised experiment: its probabilities are true, and weighting by them recovers the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulation.actions import ACTION_OF, ACTIONS, CHANNEL_OF, CHANNELS
from simulation.pilot import NO_ACTION_SHARE
from simulation.world import World
from tests.simulation.labels import closed, reached_goal

IN_PILOT = [place for place, action in enumerate(ACTIONS) if action.in_pilot]


def chosen_action(world: World) -> np.ndarray:
    return np.where(world.log.treatment >= 0, ACTION_OF[np.maximum(world.log.treatment, 0)], -1)


def test_the_logged_table_is_the_pilots_own_log(world: World) -> None:
    table = world.tables["interactions"]
    assert np.array_equal(table["selection_prob"].to_numpy(), world.log.selection_prob)
    silent = np.array(table["action_id"].to_pylist()) == "no_action"
    assert np.array_equal(silent, world.log.treatment < 0)
    assert set(np.array(table["treatment_id"].to_pylist(), dtype=object)[silent]) == {None}


def test_the_logged_probability_is_the_frequency_of_the_choice(world: World) -> None:
    """In each stratum of contacts with the same open actions, choices fit the logged probabilities (chi-square)."""
    action, log = chosen_action(world), world.log
    strata, member = np.unique(log.allowed, axis=0, return_inverse=True)
    statistic, freedom = 0.0, 0
    for stratum, open_actions in enumerate(strata):
        rows = np.ravel(member) == stratum
        if rows.sum() < 200:
            continue
        places = np.flatnonzero(open_actions)
        seen = np.array([(action[rows] == place).sum() for place in (-1, *places)])
        chance = np.array([NO_ACTION_SHARE, *np.full(len(places), (1 - NO_ACTION_SHARE) / len(places))])
        assert np.allclose(log.selection_prob[rows], np.where(action[rows] < 0, NO_ACTION_SHARE, chance[-1]))
        statistic += float(((seen - rows.sum() * chance) ** 2 / (rows.sum() * chance)).sum())
        freedom += len(places)
    assert freedom > 50
    assert stats.chi2.sf(statistic, freedom) > 0.001


def test_inverse_probabilities_of_every_open_action_weigh_the_whole_stratum(world: World) -> None:
    """E[1{a} / p_a | a open] = 1: what makes the pilot's arms comparable."""
    action, log = chosen_action(world), world.log
    for place in IN_PILOT:
        weight = ((action == place) / log.selection_prob)[log.allowed[:, place]]
        error = weight.std() / np.sqrt(len(weight))
        assert abs(weight.mean() - 1) < 4 * error, ACTIONS[place].id


def test_the_probability_of_a_treatment_shares_its_actions_evenly_among_open_channels(world: World) -> None:
    touched = world.log.treatment >= 0
    ratio = world.log.selection_prob[touched] / world.log.treatment_prob[touched]
    assert np.allclose(ratio, np.round(ratio))
    assert set(np.round(ratio)) <= {1, 2, 3, 4, 5}
    assert len(set(np.round(world.log.selection_prob, 9))) > 5  # it varies with what is open


def test_no_action_is_a_substantial_share(world: World) -> None:
    share = (world.log.treatment < 0).mean()
    assert abs(share - NO_ACTION_SHARE) < 4 * np.sqrt(NO_ACTION_SHARE * (1 - NO_ACTION_SHARE) / len(world.log.treatment))


def test_an_action_added_after_the_pilot_was_never_tried(world: World) -> None:
    tried = set(world.tables["interactions"]["action_id"].to_pylist())
    assert tried == {ACTIONS[place].id for place in IN_PILOT} | {"no_action"}


def test_the_pilot_touches_nobody_without_consent(world: World) -> None:
    granted: dict[tuple[str, str], list[tuple[object, bool]]] = {}
    for row in world.tables["consents"].to_pylist():
        granted.setdefault((row["contact_id"], row["purpose"]), []).append((row["changed_at"], row["status"] == "granted"))
    purpose = {channel.id: channel.purpose for channel in CHANNELS}
    touches = world.tables["interactions"].select(["contact_id", "channel", "as_of"]).to_pylist()
    asked = 0
    for touch in touches:
        if touch["channel"] is None or purpose[touch["channel"]] is None:
            continue
        answers = [yes for at, yes in granted.get((touch["contact_id"], purpose[touch["channel"]]), []) if at < touch["as_of"]]
        assert answers and answers[-1], touch
        asked += 1
    assert asked > 5_000


def test_consents_change_and_some_contacts_were_never_asked(world: World) -> None:
    table = world.tables["consents"]
    assert set(table["status"].to_pylist()) == {"granted", "denied", "revoked"}
    pairs = list(zip(table["contact_id"].to_pylist(), table["purpose"].to_pylist(), strict=True))
    assert len(set(pairs)) < len(pairs)
    emails = {contact for contact, purpose in pairs if purpose == "email_marketing"}
    assert 0.85 < len(emails) / len(world.truth.contact_ids) < 0.95


@pytest.mark.parametrize("place", IN_PILOT, ids=lambda place: ACTIONS[place].id)
def test_weighted_responses_measure_the_true_uplift(world: World, place: int) -> None:
    action, log = chosen_action(world), world.log
    rows = np.flatnonzero(log.allowed[:, place] & closed(world, place) & np.isin(action, [-1, place]))
    exposed = action[rows] == place
    label = reached_goal(world, place, rows).astype(float)
    weight = 1 / log.selection_prob[rows]
    means, variances = [], []
    for arm in (exposed, ~exposed):
        share = weight[arm] / weight[arm].sum()
        means.append(share @ label[arm])
        variances.append((share**2) @ (label[arm] - means[-1]) ** 2)
    truth = np.average(log.uplift[rows][exposed], weights=weight[exposed])
    assert abs(means[0] - means[1] - truth) < 4 * np.sqrt(sum(variances))


def test_touched_contacts_respond_with_the_true_propensity(world: World) -> None:
    """Over deciles of baseline + uplift, the share that responds is the mean propensity."""
    action, log = chosen_action(world), world.log
    propensity, label = [], []
    for place in IN_PILOT:
        rows = np.flatnonzero((action == place) & closed(world, place))
        propensity.append(log.baseline[rows] + log.uplift[rows])
        label.append(reached_goal(world, place, rows))
    chance, hit = np.concatenate(propensity), np.concatenate(label).astype(float)
    for part in np.array_split(np.argsort(chance), 10):
        error = np.sqrt((chance[part] * (1 - chance[part])).mean() / len(part))
        # Another touch with the same action inside the window may add a response: hence one percent on top of the noise.
        assert abs(hit[part].mean() - chance[part].mean()) < 4 * error + 0.01


def test_opt_outs_come_with_the_true_risk_per_channel(world: World) -> None:
    log = world.log
    touched = log.treatment >= 0
    channel = CHANNEL_OF[np.maximum(log.treatment, 0)]
    for place, name in enumerate(one.id for one in CHANNELS):
        rows = touched & (channel == place)
        risk, seen = log.opt_out_risk[rows], np.isfinite(log.opted_out_at[rows])
        assert abs(seen.sum() - risk.sum()) < 4 * np.sqrt(risk.sum()) + 1, name
    risk = {one.id: log.opt_out_risk[touched & (channel == place)].mean() for place, one in enumerate(CHANNELS)}
    assert risk["web"] < risk["email"] < risk["sms"] < risk["call"]


def test_an_opt_out_ends_all_consent_and_all_touches(world: World) -> None:
    log = world.log
    gone = {int(contact): at for contact, at in zip(log.contact, log.opted_out_at, strict=True) if np.isfinite(at)}
    assert len(gone) > 50
    for contact, decided in zip(log.contact, log.decided_at, strict=True):
        assert decided < gone.get(int(contact), np.inf)
