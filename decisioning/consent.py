"""Has the contact permitted this channel's purpose? Absence is never consent."""

from __future__ import annotations

import numpy as np

from decisioning.candidates import Candidates, Situation
from decisioning.compiled_catalog import CompiledCatalog
from decisioning.one_catalog import not_granted


def apply_consent(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out treatments whose channel asks for a purpose that the contact has not granted."""
    nobody = np.zeros(len(situation.contact_ids), dtype=np.bool_)
    for name, channel in catalog.catalog.channels.items():
        if channel.purpose is not None:
            refused = ~situation.granted.get(channel.purpose, nobody)
            if refused.any():
                candidates.remove(refused, catalog.on_channel[name], not_granted(channel.purpose))
