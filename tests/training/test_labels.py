from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decisioning.errors import NotFound
from features.contract import TIMELESS
from training.labels import Labels, LoggedRows, read_labelled

AS_OF = np.datetime64("2026-06-01T00:00:00", "us")
WINDOWS = {"sale": 30.0, "click": 7.0}
INTERACTION_TYPES = {
    "interaction_id": pa.string(),
    "contact_id": pa.string(),
    "action_id": pa.string(),
    "occurred_at": pa.timestamp("us"),
    "channel": pa.string(),
    "selection_prob": pa.float64(),
    "sample_weight": pa.float64(),
    "as_of": pa.timestamp("us"),
}
OUTCOME_TYPES = {
    "interaction_id": pa.string(),
    "contact_id": pa.string(),
    "outcome": pa.string(),
    "occurred_at": pa.timestamp("us"),
    "value": pa.float64(),
}


def time(text: str | None) -> object:
    return None if text is None else np.datetime64(text, "us").item()


def write(path: Path, types: dict[str, pa.DataType], rows: Sequence[dict[str, object]]) -> None:
    names = [name for name in types if any(name in row for row in rows)] or list(types)
    times = {name for name, dtype in types.items() if dtype == pa.timestamp("us")}
    values = {name: [time(row.get(name)) if name in times else row.get(name) for row in rows] for name in names}  # type: ignore[arg-type]
    pq.write_table(pa.table({name: pa.array(values[name], types[name]) for name in names}), path)


def touch(name: str, at: str | None, *, contact: str = "c1", action: str = "loan", **more: object) -> dict[str, object]:
    return {"interaction_id": name, "contact_id": contact, "action_id": action, "occurred_at": at, **more}


def outcome(
    at: str | None, *, name: str = "sale", interaction: str | None = None, contact: str | None = None, value: float | None = None
) -> dict[str, object]:
    return {"interaction_id": interaction, "contact_id": contact, "outcome": name, "occurred_at": at, "value": value}


@pytest.fixture
def labelled(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(interactions: Sequence[dict[str, object]], outcomes: Sequence[dict[str, object]] | None) -> tuple[LoggedRows, Labels]:
        write(tmp_path / "interactions.parquet", INTERACTION_TYPES, interactions)
        if outcomes is not None:
            write(tmp_path / "outcomes.parquet", OUTCOME_TYPES, outcomes)
        return read_labelled(tmp_path, WINDOWS, AS_OF)

    return read


@pytest.mark.parametrize(
    ("at", "label"),
    [
        ("2026-03-01T12:00:00", 0.0),
        ("2026-03-01T12:00:00.000001", 1.0),
        ("2026-03-31T12:00:00", 1.0),
        ("2026-03-31T12:00:00.000001", 0.0),
        ("2026-02-20T00:00:00", 0.0),
    ],
)
@pytest.mark.parametrize("link", [{"interaction": "i1"}, {"contact": "c1"}])
def test_the_window_is_open_at_the_touch_and_closed_at_its_end(labelled, at: str, label: float, link: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    _, labels = labelled([touch("i1", "2026-03-01T12:00:00")], [outcome(at, **link)])

    assert labels.happened["sale"].tolist() == [label]


def test_a_window_that_has_not_closed_before_as_of_gives_no_label(labelled) -> None:  # type: ignore[no-untyped-def]
    rows, labels = labelled(
        [touch("i1", "2026-05-01T23:59:59"), touch("i2", "2026-05-02T00:00:00"), touch("i3", "2026-05-31T00:00:00")],
        [outcome("2026-05-10", interaction="i2")],
    )

    assert rows.interaction_id.tolist() == ["i1", "i2", "i3"]
    assert np.isnan(labels.happened["sale"]).tolist() == [False, True, True]
    assert np.isnan(labels.happened["click"]).tolist() == [False, False, True]


def test_nothing_from_as_of_on_is_read(labelled) -> None:  # type: ignore[no-untyped-def]
    rows, labels = labelled(
        [touch("i1", "2026-01-01"), touch("i2", "2026-06-01"), touch("i3", "2026-07-01")],
        [outcome("2026-01-02", interaction="i1", value=1.0), outcome("2026-06-01", interaction="i1", value=100.0)],
    )

    assert rows.interaction_id.tolist() == ["i1"]
    assert labels.value["sale"].tolist() == [1.0]


def test_an_outcome_that_names_its_interaction_counts_for_no_other_one(labelled) -> None:  # type: ignore[no-untyped-def]
    _, labels = labelled(
        [touch("i1", "2026-03-01"), touch("i2", "2026-03-02")],
        [{**outcome("2026-03-03", interaction="i2"), "contact_id": "c1"}],
    )

    assert labels.happened["sale"].tolist() == [0.0, 1.0]


def test_an_outcome_of_a_contact_counts_for_each_of_his_interactions_in_whose_window_it_falls(labelled) -> None:  # type: ignore[no-untyped-def]
    _, labels = labelled(
        [
            touch("i1", "2026-01-01"),
            touch("i2", "2026-02-20"),
            touch("i3", "2026-02-25", action="no_action"),
            touch("i4", "2026-02-25", contact="c2"),
        ],
        [outcome("2026-03-01", contact="c1")],
    )

    assert labels.happened["sale"].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_every_interaction_has_a_label_for_every_goal_whatever_its_action(labelled) -> None:  # type: ignore[no-untyped-def]
    _, labels = labelled(
        [touch("i1", "2026-01-01", action="no_action"), touch("i2", "2026-01-01", contact="c2")],
        [
            outcome("2026-01-03", interaction="i1", name="click"),
            outcome("2026-01-03", interaction="i2"),
            outcome("2026-01-03", contact="c2", name="other"),
        ],
    )

    assert labels.happened["click"].tolist() == [1.0, 0.0]
    assert labels.happened["sale"].tolist() == [0.0, 1.0]
    assert set(labels.happened) == set(WINDOWS)


def test_money_is_summed_over_the_outcomes_in_the_window(labelled) -> None:  # type: ignore[no-untyped-def]
    _, labels = labelled(
        [touch("i1", "2026-01-01"), touch("i2", "2026-01-01", contact="c2"), touch("i3", "2026-01-01", contact="c3")],
        [
            outcome("2026-01-03", interaction="i1", value=10.0),
            outcome("2026-01-04", contact="c1", value=5.0),
            outcome("2026-03-04", interaction="i1", value=99.0),
            outcome("2026-01-04", interaction="i2"),
        ],
    )

    assert labels.value["sale"][0] == 15.0
    assert np.isnan(labels.value["sale"][1:]).all()
    assert labels.happened["sale"].tolist() == [1.0, 1.0, 0.0]


def test_without_times_every_outcome_is_within_its_window(labelled) -> None:  # type: ignore[no-untyped-def]
    rows, labels = labelled(
        [touch("i1", None), touch("i2", None, contact="c2"), touch("i3", None, contact="c3")],
        [outcome(None, interaction="i1"), outcome(None, contact="c2", name="click")],
    )

    assert rows.timeless
    assert labels.happened["sale"].tolist() == [1.0, 0.0, 0.0]
    assert labels.happened["click"].tolist() == [0.0, 1.0, 0.0]
    assert (rows.features_at == TIMELESS).all()


def test_features_are_cut_at_the_interaction_s_as_of_where_it_has_one(labelled) -> None:  # type: ignore[no-untyped-def]
    rows, _ = labelled([touch("i1", "2026-03-02", as_of="2026-03-01"), touch("i2", "2026-03-03", as_of=None)], None)

    assert rows.features_at.astype("datetime64[D]").astype(str).tolist() == ["2026-03-01", "2026-03-03"]


def test_a_row_stands_for_as_many_rows_as_it_says_and_for_one_where_it_says_nothing(labelled) -> None:  # type: ignore[no-untyped-def]
    rows, _ = labelled([touch("i1", "2026-03-02", sample_weight=10.0), touch("i2", "2026-03-03", sample_weight=None)], None)

    assert rows.sample_weight.tolist() == [10.0, 1.0]


def test_columns_that_the_log_does_not_have_are_null(labelled) -> None:  # type: ignore[no-untyped-def]
    rows, labels = labelled([touch("i1", "2026-03-02")], None)

    assert rows.channel.tolist() == [None]
    assert np.isnan(rows.selection_prob).all()
    assert rows.sample_weight.tolist() == [1.0]
    assert labels.happened["sale"].tolist() == [0.0]


def test_without_interactions_there_is_a_plain_refusal(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there are no interactions to learn from"):
        read_labelled(tmp_path, WINDOWS, AS_OF)
