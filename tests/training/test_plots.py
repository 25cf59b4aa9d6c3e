"""Pictures of a training: whatever actions and features are called, they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from training.plots import bands_plot, interval_plot, shares_plot

PNG = b"\x89PNG"


@pytest.mark.parametrize("name", ["save_$5_or_$10", r"a$\frac$b", "plain"])
def test_a_name_with_dollars_is_drawn_as_it_is_written_and_is_no_formula(name: str) -> None:
    nothing = np.zeros(3)
    drawn = [
        interval_plot({name: (0.1, 0.2, 0.3)}, title="effects", axis="share"),
        shares_plot({name: 0.5}, title="features", axis="share"),
        bands_plot(np.linspace(0.0, 1.0, 3), {name: (nothing, nothing, nothing)}, title="curves", axes_names=("share", "gain")),
    ]
    assert all(one.startswith(PNG) for one in drawn)
