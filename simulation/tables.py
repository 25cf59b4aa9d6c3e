"""The world's raw tables, as a business would hand them over: one Arrow table each, ids as strings, times in UTC.

They stand in the shape of the contract tables, and know nothing of traits, effects or truth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decisioning.vocabulary import NO_ACTION, FloatArray, IntArray
from simulation.actions import ACTIONS, CHANNEL_OF, CHANNELS, PURPOSES, TREATMENTS
from simulation.behaviour import EVENT_CHANNELS, EVENT_TYPES, Events
from simulation.permissions import SOURCES, STATUSES, Permissions
from simulation.pilot import Log
from simulation.population import Population
from simulation.responses import Responses
from simulation.state import FLAGS, flags_at


def numbered(prefix: str, codes: IntArray, *, width: int) -> pa.Array:
    """The ids of rows 0, 1, ...: the prefix and the number from 1, padded; NULL for a negative code.

    Examples
    --------
    >>> numbered("i-", np.array([0, -1, 41]), width=4).to_pylist()
    ['i-0001', None, 'i-0042']
    """
    digits = pc.utf8_lpad(pa.array(codes + 1, mask=codes < 0).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def contact_names(count: int) -> npt.NDArray[np.str_]:
    """The ids of `count` contacts.

    Examples
    --------
    >>> contact_names(2).tolist()
    ['c-0000001', 'c-0000002']
    """
    return np.array(numbered("c-", np.arange(count), width=7).to_pylist())


def times(start: np.datetime64, at: FloatArray) -> pa.Array:
    """Days from the start as UTC timestamps; inf and NaN as NULL."""
    known = np.isfinite(at)
    offset = np.round(np.where(known, at, 0.0) * 86_400_000_000).astype(np.int64)
    return pa.array(start.astype("datetime64[us]") + offset, type=pa.timestamp("us"), mask=~known)


def pick(levels: tuple[str, ...] | npt.NDArray[np.str_], codes: IntArray) -> pa.Array:
    """levels[codes] as strings, negative codes as NULL."""
    indices = pa.array(codes, mask=codes < 0)
    return pa.array(list(levels), type=pa.string()).take(indices)


def _numbers(values: npt.NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    """Floats as `kind`, NaN as NULL."""
    return pa.array(values, from_pandas=True).cast(kind)


def contacts_table(people: Population, responses: Responses, ids: npt.NDArray[np.str_], *, start: np.datetime64, days: int) -> pa.Table:
    """One row a contact and state: the first from when the contact joined, another from each later change of an attribute."""
    contact, since = _states(people, responses, days)
    just_after = since + 1e-6
    changing = people.changing(contact, just_after)
    flags = flags_at(people, responses, contact, just_after)
    fixed = {name: values[contact] for name, values in people.fixed.items()}
    strings = ("gender", "city", "branch", "segment", "employment", "market", "time_zone")
    money = pa.decimal128(14, 2)
    return pa.table(
        {
            "contact_id": pick(ids, contact),
            "account_id": pick(_firm_names(people), people.firm[contact]),
            "valid_from": times(start, since),
            **{name: pa.array(fixed[name], type=pa.string()) for name in strings},
            **{name: _numbers(fixed[name], pa.int64()) for name in ("age", "children", "satisfaction")},
            **{name: _numbers(fixed[name], pa.float64()) for name in ("debt_ratio", "discount_share", "risk_score")},
            "income": _numbers(changing["income"], pa.float64()),
            "balance": _numbers(changing["balance"], money),
            "preapproved_limit": _numbers(changing["preapproved_limit"], pa.int64()),
            **{name: pa.array(flags[name] == 1) for name in FLAGS},
            "customer_since": times(start, np.floor(people.joined[contact])).cast(pa.date32()),
            "last_branch_visit_at": times(start, _branch_visits(people)[contact]),
        }
    )


def _branch_visits(people: Population) -> FloatArray:
    """The last visit before the contact's first row became valid: an attribute never knows the future."""
    return np.minimum(people.joined, 0.0) - people.fixed["last_branch_visit_days"].astype(np.float64)


def _states(people: Population, responses: Responses, days: int) -> tuple[IntArray, FloatArray]:
    """(contact, since) of every row of the contacts table, sorted."""
    everyone = np.arange(people.size)
    moments = [people.joined, people.change_at]
    moments += [responses.first(place) for place, action in enumerate(ACTIONS) if action.once is not None]
    contact = np.tile(everyone, len(moments))
    since = np.concatenate(moments)
    lived = (since < days) & (since >= people.joined[contact]) & (since <= people.leaves[contact])
    contact, since = contact[lived], since[lived]
    order = np.lexsort((since, contact))
    return contact[order], since[order]


def _firm_names(people: Population) -> npt.NDArray[np.str_]:
    count = len(people.firms["employees"])
    return np.array(numbered("f-", np.arange(count), width=6).to_pylist())


def accounts_table(people: Population, *, start: np.datetime64) -> pa.Table:
    """One row a firm."""
    firms = people.firms
    return pa.table(
        {
            "account_id": pa.array(_firm_names(people).tolist(), type=pa.string()),
            "industry": pa.array(firms["industry"], type=pa.string()),
            "employees": _numbers(firms["employees"].astype(np.float64), pa.int64()),
            "annual_turnover": _numbers(firms["annual_turnover"].astype(np.float64), pa.decimal128(18, 2)),
            "exporter": pa.array(firms["exporter"] == 1),
            "founded_on": times(start, -firms["founded_days_ago"].astype(np.float64)).cast(pa.date32()),
        }
    )


def events_table(events: Events, ids: npt.NDArray[np.str_], *, start: np.datetime64) -> pa.Table:
    """One row an event, in time order; `value` is the bank's margin in PLN."""
    return pa.table(
        {
            "contact_id": pick(ids, events.contact),
            "event_type": pick(EVENT_TYPES, events.kind),
            "occurred_at": times(start, events.at),
            "channel": pick(EVENT_CHANNELS, events.channel),
            "value": _numbers(events.value, pa.float64()),
        }
    )


def interactions_table(log: Log, ids: npt.NDArray[np.str_], *, start: np.datetime64) -> pa.Table:
    """One row a decision of the pilot, no_action too."""
    touched = log.treatment >= 0
    places = np.where(touched, log.treatment, 0)
    actions = np.array([treatment.action for treatment in TREATMENTS])[places]
    costs = np.array([treatment.cost for treatment in TREATMENTS])[places]
    return pa.table(
        {
            "interaction_id": numbered("i-", np.arange(len(log.contact)), width=8),
            "contact_id": pick(ids, log.contact),
            "action_id": pick((*(action.id for action in ACTIONS), NO_ACTION), np.where(touched, actions, len(ACTIONS))),
            "treatment_id": pick(tuple(treatment.id for treatment in TREATMENTS), log.treatment),
            "channel": pick(tuple(channel.id for channel in CHANNELS), np.where(touched, CHANNEL_OF[places], -1)),
            "occurred_at": times(start, log.delivered_at),
            "as_of": times(start, log.decided_at),
            "selection_prob": pa.array(log.selection_prob),
            "treatment_prob": pa.array(log.treatment_prob),
            "cost": pa.array(np.where(touched, costs, 0.0)),
        }
    )


def consents_table(permissions: Permissions, ids: npt.NDArray[np.str_], *, start: np.datetime64, days: int) -> pa.Table:
    """One row an answer or a change of it; a contact who was never asked has none."""
    rows = permissions.rows(float(days))
    order = np.lexsort((rows["at"], rows["purpose"], rows["contact"]))
    codes = {name: rows[name][order].astype(np.int64) for name in ("contact", "purpose", "status", "source")}
    return pa.table(
        {
            "contact_id": pick(ids, codes["contact"]),
            "purpose": pick(PURPOSES, codes["purpose"]),
            "status": pick(STATUSES, codes["status"]),
            "changed_at": times(start, rows["at"][order].astype(np.float64)),
            "source": pick(SOURCES, codes["source"]),
        }
    )
