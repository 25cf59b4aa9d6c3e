"""What a channel adds to the log odds is learned from all its rows, also where a long log is learned from once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.special import expit

from estimators.encoding import Encoded
from estimators.propensity import ResponseModel
from training import fit_propensity
from training.fit_propensity import HeadFit, _channel_offsets


@pytest.mark.parametrize("many_rows", [50_000, 10_000])
@pytest.mark.parametrize("most", [20_000, 5_000])
def test_a_rare_channel_keeps_its_offset_however_few_rows_are_held_out(many_rows: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_propensity, "CHANNEL_ROWS", most)
    n, rng = 16_000, np.random.default_rng(2)
    x, rare = rng.normal(size=(n, 5)), rng.random(n) < 0.02
    channel = np.where(rare, "sms", "mail").astype(object)
    channel[:50] = None
    y = (rng.random(n) < expit(-2.8 + 0.6 * x[:, 0] + 1.2 * rare)).astype(float)
    model = ResponseModel(cv=3, many_rows=many_rows).fit(x, y, X_linear=x)
    rows = SimpleNamespace(channel=channel)
    prepared = cast(Any, SimpleNamespace(data=SimpleNamespace(rows=rows), encoded=Encoded(x, x), encoder=None))

    offsets = _channel_offsets(prepared, np.arange(n), y, model, HeadFit())

    assert set(offsets) == {"mail", "sms"}
    value, error = offsets["sms"]
    assert error < 0.25
    assert value == pytest.approx(1.2, abs=2.5 * error)
    assert offsets["mail"][0] == pytest.approx(0.0, abs=0.1)
