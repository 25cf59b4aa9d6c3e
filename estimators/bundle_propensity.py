"""The served propensity model: how likely a contact responds to an action on a channel, opts out, and what a response brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from estimators.arrays import Columns, FloatArray
from estimators.bundle_files import write_bundle
from estimators.encoding import Encoded, FeatureEncoder
from estimators.heads import ResponseHead, ValueHead, shift_log_odds

Arm: TypeAlias = tuple[str, str | None]
"""(action_id, channel); channel None means the action whatever its channel."""


@dataclass(frozen=True, eq=False)
class OptOutHead:
    """The risk that a contact opts out after a touch, with one offset of the log odds a channel.

    Parameters
    ----------
    response : ResponseHead
    channel_offsets : mapping of str to float
        Shrunk towards 0.
    """

    response: ResponseHead
    channel_offsets: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON values."""
        return {"response": self.response.to_dict(), "channel_offsets": dict(self.channel_offsets)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OptOutHead:
        """The head that `to_dict` wrote."""
        return cls(ResponseHead.from_dict(data["response"]), {name: float(offset) for name, offset in data["channel_offsets"].items()})


@dataclass(frozen=True, eq=False)
class PropensityBundle:
    """Propensity per action and channel, opt-out risk per channel, money of a response per action.

    Parameters
    ----------
    contract_hash : str
        Of the feature contract it was trained on.
    encoder : FeatureEncoder
    heads : mapping of action_id to ResponseHead
    channel_offsets : mapping of (action_id, channel) to float
        Shrunk offsets of the log odds; an absent arm has none.
    opt_out : OptOutHead or None
        None where no opt-out was ever logged.
    values : mapping of action_id to ValueHead
        Of the actions whose responses bring observed money.
    """

    kind: ClassVar[str] = "propensity"

    contract_hash: str
    encoder: FeatureEncoder
    heads: Mapping[str, ResponseHead]
    channel_offsets: Mapping[Arm, float] = field(default_factory=dict)
    opt_out: OptOutHead | None = None
    values: Mapping[str, ValueHead] = field(default_factory=dict)

    @property
    def feature_dtypes(self) -> dict[str, str]:
        """Feature name -> dtype, what the encoder reads."""
        return self.encoder.dtypes

    def encode(self, columns: Columns, as_of: Any) -> Encoded:
        """The contacts' matrices, to be passed as `encoded` where several questions are asked about the same contacts."""
        return self.encoder.encode(columns, as_of)

    def propensity(self, columns: Columns, as_of: Any, arms: Sequence[Arm], *, encoded: Encoded | None = None) -> FloatArray:
        """P(response | contacted) of n contacts for K arms, shape (n, K); a column of NaN for an action without a head."""
        rows = self.encode(columns, as_of) if encoded is None else encoded
        known = {action for action, _ in arms if action in self.heads}
        by_action = {action: self.heads[action].probability(rows) for action in sorted(known)}
        out = np.full((len(rows), len(arms)), np.nan)
        for k, (action, channel) in enumerate(arms):
            if action in by_action:
                out[:, k] = shift_log_odds(by_action[action], self.channel_offsets.get((action, channel), 0.0))
        return out

    def opt_out_risk(self, columns: Columns, as_of: Any, channels: Sequence[str | None], *, encoded: Encoded | None = None) -> FloatArray:
        """P(opts out | touched on the channel), shape (n, K); NaN where no opt-out was ever logged."""
        rows = self.encode(columns, as_of) if encoded is None else encoded
        out = np.full((len(rows), len(channels)), np.nan)
        if self.opt_out is None:
            return out
        risk = self.opt_out.response.probability(rows)
        for k, channel in enumerate(channels):
            out[:, k] = shift_log_odds(risk, self.opt_out.channel_offsets.get(channel or "", 0.0))
        return out

    def observed_value(self, columns: Columns, as_of: Any, actions: Sequence[str], *, encoded: Encoded | None = None) -> FloatArray:
        """Expected money of a response, shape (n, K); a column of NaN for an action whose responses brought none."""
        rows = self.encode(columns, as_of) if encoded is None else encoded
        by_action = {action: self.values[action].money(rows) for action in sorted(set(actions) & set(self.values))}
        out = np.full((len(rows), len(actions)), np.nan)
        for k, action in enumerate(actions):
            if action in by_action:
                out[:, k] = by_action[action]
        return out

    def evidence(self, action_id: str) -> int:
        """The number of labelled interactions behind an action's head; 0 where it has none."""
        return self.heads[action_id].evidence if action_id in self.heads else 0

    def save(self, directory: Path) -> None:
        """Write the bundle as JSON and LightGBM text; `load_bundle` gives back one with identical predictions."""
        body = {
            "contract_hash": self.contract_hash,
            "encoder": self.encoder.to_dict(),
            "heads": {action: head.to_dict() for action, head in self.heads.items()},
            "channel_offsets": [[action, channel, offset] for (action, channel), offset in self.channel_offsets.items()],
            "opt_out": None if self.opt_out is None else self.opt_out.to_dict(),
            "values": {action: head.to_dict() for action, head in self.values.items()},
        }
        write_bundle(directory, self.kind, body)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> PropensityBundle:
        """The bundle whose body `save` wrote."""
        return cls(
            contract_hash=body["contract_hash"],
            encoder=FeatureEncoder.from_dict(body["encoder"]),
            heads={action: ResponseHead.from_dict(head) for action, head in body["heads"].items()},
            channel_offsets={(action, channel): float(offset) for action, channel, offset in body["channel_offsets"]},
            opt_out=None if body["opt_out"] is None else OptOutHead.from_dict(body["opt_out"]),
            values={action: ValueHead.from_dict(head) for action, head in body["values"].items()},
        )
