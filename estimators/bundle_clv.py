"""The served CLV model: what a contact is worth over the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from estimators.arrays import Columns, FloatArray
from estimators.bundle_files import write_bundle
from estimators.clv_heads import BtydClvHead, BuyingHistory, ClvHead, clv_head_from_dict
from estimators.encoding import Encoded, FeatureEncoder


@dataclass(frozen=True, eq=False)
class ClvBundle:
    """Discounted expected margin over horizon_days, by the one model that training chose.

    Parameters
    ----------
    contract_hash : str
        Of the feature contract it was trained on.
    encoder : FeatureEncoder
        Read by the LightGBM head only; the BTYD head reads the purchase columns themselves.
    head : BtydClvHead or TreeClvHead
    horizon_days : float
    evidence : int
        Contacts it was trained on.
    """

    kind: ClassVar[str] = "clv"

    contract_hash: str
    encoder: FeatureEncoder
    head: ClvHead
    horizon_days: float
    evidence: int

    @property
    def feature_dtypes(self) -> dict[str, str]:
        """Feature name -> dtype, what the encoder reads."""
        return self.encoder.dtypes

    @property
    def method(self) -> str:
        """The name of the model: "bg_nbd x gamma_gamma" or "lightgbm"."""
        return "bg_nbd x gamma_gamma" if isinstance(self.head, BtydClvHead) else "lightgbm"

    def encode(self, columns: Columns, as_of: Any) -> Encoded:
        """The contacts' matrices, as the LightGBM head reads them."""
        return self.encoder.encode(columns, as_of)

    def clv(self, columns: Columns, as_of: Any, *, encoded: Encoded | None = None) -> FloatArray:
        """Discounted expected margin of each contact over the horizon, money, shape (n,); finite for every contact."""
        if isinstance(self.head, BtydClvHead):
            value = self.head.clv(BuyingHistory.of(columns, as_of), self.horizon_days)
        else:
            value = self.head.clv(self.encode(columns, as_of) if encoded is None else encoded)
        return np.nan_to_num(value)

    def save(self, directory: Path) -> None:
        """Write the bundle as JSON and LightGBM text; `load_bundle` gives back one with identical predictions."""
        numbers = {"horizon_days": self.horizon_days, "evidence": self.evidence}
        body = {"contract_hash": self.contract_hash, "encoder": self.encoder.to_dict(), "head": self.head.to_dict(), **numbers}
        write_bundle(directory, self.kind, body)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> ClvBundle:
        """The bundle whose body `save` wrote."""
        head = clv_head_from_dict(body["head"])
        encoder = FeatureEncoder.from_dict(body["encoder"])
        return cls(body["contract_hash"], encoder, head, float(body["horizon_days"]), int(body["evidence"]))
