"""The served lead score: how likely a lead is won, and the points card beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from estimators.arrays import Columns, FloatArray
from estimators.bundle_files import write_bundle
from estimators.encoding import Encoded, FeatureEncoder
from estimators.lead import LeadHead


@dataclass(frozen=True, eq=False)
class LeadBundle:
    """P(won) of a contact as a lead.

    Parameters
    ----------
    contract_hash : str
        Of the feature contract it was trained on.
    encoder : FeatureEncoder
    head : LeadHead
    evidence : int
        Rows it was trained on.
    """

    kind: ClassVar[str] = "lead"

    contract_hash: str
    encoder: FeatureEncoder
    head: LeadHead
    evidence: int

    @property
    def feature_dtypes(self) -> dict[str, str]:
        """Feature name -> dtype, what the model reads."""
        return self.encoder.dtypes

    def encode(self, columns: Columns, as_of: Any) -> Encoded:
        """The contacts' matrices."""
        return self.encoder.encode(columns, as_of)

    def probability(self, columns: Columns, as_of: Any) -> FloatArray:
        """P(won), shape (n,)."""
        return self.head.probability(self.encode(columns, as_of))

    def save(self, directory: Path) -> None:
        """Write the bundle as JSON and LightGBM text; `load_bundle` gives back one with identical predictions."""
        parts = {"encoder": self.encoder.to_dict(), "head": self.head.to_dict(), "evidence": self.evidence}
        write_bundle(directory, self.kind, {"contract_hash": self.contract_hash, **parts})

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> LeadBundle:
        """The bundle whose body `save` wrote."""
        head = LeadHead.from_dict(body["head"])
        return cls(body["contract_hash"], FeatureEncoder.from_dict(body["encoder"]), head, int(body["evidence"]))
