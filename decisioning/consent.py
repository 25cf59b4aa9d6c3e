"""Has the contact permitted this channel's purpose? Absence is never consent."""

from __future__ import annotations

import numpy as np

from decisioning.candidates import Candidates, Situation
from decisioning.compiled_catalog import CompiledCatalog


def apply_consent(candidates: Candidates, catalog: CompiledCatalog, situation: Situation) -> None:
    """Take out treatments whose channel asks for a purpose that the contact has not granted."""
    nobody = np.zeros(len(situation.contact_ids), dtype=np.bool_)
    for name, channel in catalog.catalog.channels.items():
        if channel.purpose is None:
            continue
        refused = ~situation.granted.get(channel.purpose, nobody)
        on_channel = np.array([treatment.channel == name for _, treatment in catalog.treatments], dtype=np.bool_)
        if refused.any() and on_channel.any():
            detail = f"consent for {channel.purpose} is not granted"
            candidates.remove(refused[:, None] & on_channel, "consent", channel.purpose, lambda row, d=detail: d)
