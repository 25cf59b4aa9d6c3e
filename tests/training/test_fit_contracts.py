"""A subscription business whose retention is known: basic plans end at 12 % a month, premium ones at 3 %."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decisioning.catalog import Catalog
from decisioning.errors import ConfigError
from estimators.bundle import load_bundle
from features.store import FeatureDoor, OnlineConfig
from tests.training.workspaces import END, a_catalog
from training.dataset import end_told_afterwards
from training.fit_clv import FittedClv
from training.fit_contracts import fit_contracts

DAY = np.timedelta64(1, "D")
CONTACTS, PERIOD = 1500, 30.0
HAZARD = {"basic": 0.12, "premium": 0.03}
TERMS = {"start": "began_on", "end": "ended_on", "value": "monthly_fee", "period_days": PERIOD}


def write_subscriptions(workspace: Path, seed: int = 3) -> None:
    rng = np.random.default_rng(seed)
    plan = rng.choice(["basic", "premium"], CONTACTS)
    began = END - rng.integers(1, 600, CONTACTS) * DAY
    lived = rng.geometric(np.array([HAZARD[one] for one in plan])) * PERIOD - rng.uniform(0.0, PERIOD, CONTACTS)
    ended = began + (lived * 86_400_000_000).astype("timedelta64[us]")
    over = ended < END
    data = workspace / "data"
    data.mkdir(parents=True)
    table = {
        "contact_id": [f"c{i:04d}" for i in range(CONTACTS)],
        "valid_from": pa.array(began, pa.timestamp("us")),
        "plan": plan.tolist(),
        "monthly_fee": np.where(plan == "premium", 50.0, 20.0),
        "began_on": pa.array(began, pa.timestamp("us")),
        "ended_on": pa.array(np.where(over, ended, np.datetime64("NaT")), pa.timestamp("us")),
    }
    pq.write_table(pa.table(table), data / "contacts.parquet")
    (data / "manifest.json").write_text(json.dumps({"newest_at": str(END) + "Z"}))


@pytest.fixture(scope="module")
def subscriptions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureDoor]:
    workspace = tmp_path_factory.mktemp("contracts")
    write_subscriptions(workspace)
    door = FeatureDoor(workspace, project="contracts", online=OnlineConfig())
    door.build(END)
    return workspace, door


@pytest.fixture(scope="module")
def fitted(subscriptions: tuple[Path, FeatureDoor]) -> FittedClv:
    workspace, door = subscriptions
    found = fit_contracts(workspace / "data", catalog(), door, END, seed=7)
    assert isinstance(found, FittedClv)
    return found


def catalog(**changes: object) -> Catalog:
    return a_catalog(clv={"annual_discount_rate": 0.0, "contract": {**TERMS, **changes}})


def test_the_retention_of_each_plan_is_what_it_truly_is(subscriptions: tuple[Path, FeatureDoor], fitted: FittedClv) -> None:
    _, columns = subscriptions[1].population(END)
    curve = fitted.bundle.retention(columns, END)
    assert curve is not None
    for plan, hazard in HAZARD.items():
        rows = (columns["plan"] == plan) & np.isnat(columns["ended_on"])
        assert curve[rows, 6].mean() == pytest.approx((1 - hazard) ** 6, rel=0.12)


def test_a_contract_is_worth_its_fees_until_it_ends_and_one_that_has_ended_nothing(
    subscriptions: tuple[Path, FeatureDoor], fitted: FittedClv
) -> None:
    _, columns = subscriptions[1].population(END)
    clv = fitted.bundle.clv(columns, END)
    ended = ~np.isnat(columns["ended_on"])
    assert ended.any()
    assert (clv[ended] == 0).all()
    months = 365 / PERIOD
    premium = (columns["plan"] == "premium") & ~ended
    expected = 50.0 * (1 - 0.97**months) / 0.03
    assert clv[premium].mean() == pytest.approx(expected, rel=0.12)


def test_the_later_window_was_predicted_and_its_intervals_cover(fitted: FittedClv) -> None:
    assert fitted.window_days == 6 * PERIOD
    assert fitted.predicted["survival"].mean() == pytest.approx(fitted.money.mean(), rel=0.1)
    assert fitted.coverage[0.9] >= 0.85


def test_the_bundle_comes_back_with_the_same_worth(subscriptions: tuple[Path, FeatureDoor], fitted: FittedClv, tmp_path: Path) -> None:
    _, columns = subscriptions[1].population(END)
    fitted.bundle.save(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle")
    assert again.kind == "clv"
    np.testing.assert_array_equal(again.clv(columns, END), fitted.bundle.clv(columns, END))  # type: ignore[union-attr]
    one = {name: column[:1] for name, column in columns.items()}
    assert fitted.bundle.clv(one, END)[0] == fitted.bundle.clv(columns, END)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"end": "ended_at"}, "clv.contract.end.*no such feature.*ended_on"), ({"value": "plan"}, "no such feature|wrong type.*plan: string")],
)
def test_a_contract_of_columns_that_are_not_there_is_refused(
    subscriptions: tuple[Path, FeatureDoor], changes: dict[str, object], message: str
) -> None:
    workspace, door = subscriptions
    with pytest.raises(ConfigError, match=message):
        fit_contracts(workspace / "data", catalog(**changes), door, END, seed=7)


def test_an_end_beyond_as_of_is_not_known_yet(subscriptions: tuple[Path, FeatureDoor], fitted: FittedClv) -> None:
    _, columns = subscriptions[1].population(END)
    running = np.flatnonzero(np.isnat(columns["ended_on"]))[:1]
    row = {name: column[running].copy() for name, column in columns.items()}
    worth = fitted.bundle.clv(row, END)
    row["ended_on"] = np.array([END + 10 * DAY])
    assert fitted.bundle.clv(row, END) == worth


@pytest.mark.parametrize(("since", "hidden"), [("known", None), ("never", "ended_on"), ("absent", "ended_on")])
def test_the_end_of_a_contract_is_no_feature_where_nothing_says_since_when_it_was_known(
    subscriptions: tuple[Path, FeatureDoor], tmp_path: Path, since: str, hidden: str | None
) -> None:
    workspace, door = subscriptions
    contacts = pq.read_table(workspace / "data" / "contacts.parquet")
    if since != "known":
        contacts = contacts.drop_columns(["valid_from"])
    if since == "never":
        contacts = contacts.append_column("valid_from", pa.nulls(len(contacts), pa.timestamp("us")))
    pq.write_table(contacts, tmp_path / "contacts.parquet")

    assert end_told_afterwards(tmp_path, catalog(), door.contract) == hidden
    assert end_told_afterwards(tmp_path, a_catalog(), door.contract) is None
