"""`nudge evaluate`, `promote` and `rollback` where there is nothing to compare: a plain refusal with a hint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nudge.desks.models import WorkspaceModels
from nudge.ground.config import parse_config
from tests.nudge.shops import Shop
from training.model_run import ModelVersion


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("evaluate",), 1, "there is no champion to evaluate. Hint: run nudge train"),
        (("promote", "uplift"), 1, "no registered model 'shop-uplift'; allowed: none is registered. Hint: run nudge train"),
        (("rollback", "uplift"), 1, "no registered model 'shop-uplift'; allowed: none is registered. Hint: run nudge train"),
        (("promote", "uplift", "--force"), 2, "--why: a forced promotion needs its reason. Hint: say why"),
    ],
)
def test_without_a_model_the_refusal_says_what_to_do(shop: Shop, command: tuple[str, ...], code: int, words: str) -> None:
    answer = shop.run(*command)

    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err


def test_the_minimum_gain_is_a_setting_of_the_workspace() -> None:
    config = parse_config({"name": "shop", "sources": {"contacts": "SELECT 1"}, "training": {"minimum_gain": 0.05}})

    assert config.training.minimum_gain == 0.05


def test_the_time_of_a_registered_version_says_that_it_is_utc() -> None:
    tags: list[dict[str, str]] = [{"nudge.as_of": "2026-11-22T10:00:00.000000"}, {}]
    versions = [ModelVersion(k, f"run-{k}", (), one) for k, one in enumerate(tags)]
    registry = SimpleNamespace(names=lambda: ["shop-uplift"], versions=lambda name: versions)
    [model] = WorkspaceModels(cast(Any, SimpleNamespace(tracker=registry))).listed()["models"]

    assert [one["as_of"] for one in model["versions"]] == ["2026-11-22T10:00:00Z", None]
