"""The served uplift model: what an action changes in the probability of its goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from estimators.arrays import Columns, FloatArray, runs_of
from estimators.bundle_files import write_bundle
from estimators.bundle_propensity import Arm
from estimators.encoding import Encoded, FeatureEncoder
from estimators.uplift_head import UpliftHead


@dataclass(frozen=True, eq=False)
class UpliftBundle:
    """Uplift per action and channel.

    Parameters
    ----------
    contract_hash : str
        Of the feature contract it was trained on.
    encoder : FeatureEncoder
    heads : mapping of action_id to UpliftHead
        Empty where uplift cannot be identified; then `reason` says why.
    average_effects : mapping of (action_id, channel) to (effect, standard error)
        Channel None is the action whatever its channel.
    reason : str or None
        Why there is no uplift for any action.
    """

    kind: ClassVar[str] = "uplift"

    contract_hash: str
    encoder: FeatureEncoder
    heads: Mapping[str, UpliftHead]
    average_effects: Mapping[Arm, tuple[float, float]] = field(default_factory=dict)
    reason: str | None = None

    @property
    def feature_dtypes(self) -> dict[str, str]:
        """Feature name -> dtype, what the encoder reads."""
        return self.encoder.dtypes

    def encode(self, columns: Columns, as_of: Any) -> Encoded:
        """The contacts' matrices, to be passed as `encoded` where several questions are asked about the same contacts."""
        return self.encoder.encode(columns, as_of)

    def uplift(self, columns: Columns, as_of: Any, arms: Sequence[Arm], *, encoded: Encoded | None = None) -> FloatArray:
        """P(goal | contacted) - P(goal | not contacted) of n contacts for K arms, shape (n, K); NaN for an action without a head."""
        rows = self.encode(columns, as_of) if encoded is None else encoded
        out = np.full((len(rows), len(arms)), np.nan)
        for action in dict.fromkeys(action for action, _ in arms if action in self.heads):
            columns_of = [k for k, (other, _) in enumerate(arms) if other == action]
            for some in runs_of(len(rows)):
                out[some, columns_of] = self.heads[action].effects_on(rows.take(some), [arms[k][1] for k in columns_of])
        return out

    def standard_errors(self, columns: Columns, as_of: Any, actions: Sequence[str], *, encoded: Encoded | None = None) -> FloatArray:
        """Of the uplift of n contacts for K actions, shape (n, K); NaN for an action without a head."""
        rows = self.encode(columns, as_of) if encoded is None else encoded
        unknown = np.full(len(rows), np.nan)
        found = [self.heads[action].standard_errors(rows) if action in self.heads else unknown for action in actions]
        return np.column_stack(found) if found else np.empty((len(rows), 0))

    def evidence(self, action_id: str) -> int:
        """The number of contacted interactions behind an action's head; 0 where it has none."""
        return self.heads[action_id].evidence if action_id in self.heads else 0

    def save(self, directory: Path) -> None:
        """Write the bundle as JSON and LightGBM text; `load_bundle` gives back one with identical predictions."""
        body = {
            "contract_hash": self.contract_hash,
            "encoder": self.encoder.to_dict(),
            "heads": {action: head.to_dict() for action, head in self.heads.items()},
            "average_effects": [[action, channel, *effect] for (action, channel), effect in self.average_effects.items()],
            "reason": self.reason,
        }
        write_bundle(directory, self.kind, body)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> UpliftBundle:
        """The bundle whose body `save` wrote."""
        return cls(
            contract_hash=body["contract_hash"],
            encoder=FeatureEncoder.from_dict(body["encoder"]),
            heads={action: UpliftHead.from_dict(head) for action, head in body["heads"].items()},
            average_effects={
                (action, channel): (float(effect), float(error)) for action, channel, effect, error in body["average_effects"]
            },
            reason=body["reason"],
        )
