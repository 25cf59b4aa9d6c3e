"""The served CLV model: what a contact is worth over the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from estimators.arrays import Columns, FloatArray
from estimators.bundle_files import write_bundle
from estimators.clv_blend import BlendedClvHead, ClvHead, clv_head_from_dict
from estimators.clv_heads import BtydClvHead, BuyingHistory, OwnClvHead, TreeClvHead
from estimators.clv_intervals import RatioIntervals
from estimators.clv_survival import CONTRACT_AGE, ContractClvHead, Contracts
from estimators.encoding import Encoded, FeatureEncoder


@dataclass(frozen=True, eq=False)
class ClvBundle:
    """Discounted expected margin over horizon_days, by the model that training chose, and what goes with it.

    Parameters
    ----------
    contract_hash : str
        Of the feature contract it was trained on.
    encoder : FeatureEncoder
        Read by LightGBM and by a user's own regressor; a BTYD head reads the purchase columns themselves.
    head : ClvHead
    horizon_days : float
    evidence : int
        Contacts it was trained on.
    intervals : RatioIntervals, optional
        Learned by a back-test; None where there were too few contacts for one.
    """

    kind: ClassVar[str] = "clv"

    contract_hash: str
    encoder: FeatureEncoder
    head: ClvHead
    horizon_days: float
    evidence: int
    intervals: RatioIntervals | None = None

    @property
    def feature_dtypes(self) -> dict[str, str]:
        """Feature name -> dtype, what the model reads."""
        if not isinstance(self.head, ContractClvHead):
            return self.encoder.dtypes
        names = self.head.columns
        dtypes = {names.start: "timestamp", names.end: "timestamp", names.value: "float", **self.encoder.dtypes}
        return {name: dtype for name, dtype in dtypes.items() if name != CONTRACT_AGE}

    @property
    def method(self) -> str:
        """The name of the model, for example "pareto_nbd x gamma_gamma, corrected by lightgbm"."""
        return self.head.method

    def encode(self, columns: Columns, as_of: Any) -> Encoded:
        """The contacts' matrices, as LightGBM reads them."""
        return self.encoder.encode(columns, as_of)

    def clv(self, columns: Columns, as_of: Any, *, encoded: Encoded | None = None) -> FloatArray:
        """Discounted expected margin of each contact over the horizon, money, shape (n,); finite for every contact."""
        if isinstance(self.head, BtydClvHead):
            value = self.head.clv(BuyingHistory.of(columns, as_of), self.horizon_days)
        elif isinstance(self.head, BlendedClvHead):
            value = self.head.clv(BuyingHistory.of(columns, as_of), self._rows(columns, as_of, encoded), self.horizon_days)
        elif isinstance(self.head, ContractClvHead):
            value = self.head.clv(columns, as_of, self.encoder, self.horizon_days)
        else:
            value = self.head.clv(self._rows(columns, as_of, encoded))
        return np.nan_to_num(value)

    def expected_transactions(
        self, columns: Columns, as_of: Any, *, days: float | None = None, encoded: Encoded | None = None
    ) -> FloatArray:
        """Expected purchase days over `days` (default: the horizon), not discounted, shape (n,).

        NaN for a contact who has bought nothing, and where a regressor alone or a survival model is served: they know of money only.
        """
        over = self.horizon_days if days is None else days
        history = BuyingHistory.of(columns, as_of)
        if isinstance(self.head, BtydClvHead):
            return replace(self.head, annual_discount_rate=0.0).outlook(history, over, over).count
        if isinstance(self.head, BlendedClvHead):
            return self.head.transactions(history, self._rows(columns, as_of, encoded), over)
        return np.full(len(history), np.nan)

    def retention(self, columns: Columns, as_of: Any) -> FloatArray | None:
        """P(the contract is in force at the start of each period to come), shape (n, periods); None where there are no contracts."""
        if not isinstance(self.head, ContractClvHead):
            return None
        return self.head.retention(columns, as_of, self.encoder, self.horizon_days)

    def probability_alive(self, columns: Columns, as_of: Any) -> FloatArray:
        """P(still a buyer), shape (n,); NaN for a contact who has bought nothing, and where a regressor alone is served.

        Under contract it is known: 1 while the contract runs, else 0.
        """
        if isinstance(self.head, ContractClvHead):
            return Contracts.of(columns, self.head.columns, as_of).in_force.astype(np.float64)
        history = BuyingHistory.of(columns, as_of)
        btyd = self.head.btyd if isinstance(self.head, BlendedClvHead) else self.head
        if not isinstance(btyd, BtydClvHead):
            return np.full(len(history), np.nan)
        return btyd.outlook(history, self.horizon_days, self.horizon_days).alive

    def interval(
        self, columns: Columns, as_of: Any, *, coverage: float = 0.9, encoded: Encoded | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Between which bounds the margin over the horizon will fall, for a share `coverage` of contacts, money, shape (n,) each.

        NaN where the bundle has no intervals.

        Raises
        ------
        ValueError
            If the coverage is not one of `estimators.clv_intervals.COVERAGES`.
        """
        value = self.clv(columns, as_of, encoded=encoded)
        if self.intervals is None:
            return np.full(len(value), np.nan), np.full(len(value), np.nan)
        expected = self.expected_transactions(columns, as_of, encoded=encoded)
        of_money = isinstance(self.head, TreeClvHead | OwnClvHead | ContractClvHead)
        return self.intervals.of(value if of_money else expected, value, coverage)

    def _rows(self, columns: Columns, as_of: Any, encoded: Encoded | None) -> Encoded:
        return self.encode(columns, as_of) if encoded is None else encoded

    def save(self, directory: Path) -> None:
        """Write the bundle as JSON and LightGBM text; `load_bundle` gives back one with identical predictions."""
        numbers = {"horizon_days": self.horizon_days, "evidence": self.evidence}
        intervals = None if self.intervals is None else self.intervals.to_dict()
        parts = {"encoder": self.encoder.to_dict(), "head": self.head.to_dict(), "intervals": intervals}
        write_bundle(directory, self.kind, {"contract_hash": self.contract_hash, **parts, **numbers})

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> ClvBundle:
        """The bundle whose body `save` wrote."""
        head = clv_head_from_dict(body["head"])
        encoder = FeatureEncoder.from_dict(body["encoder"])
        intervals = None if body["intervals"] is None else RatioIntervals.from_dict(body["intervals"])
        return cls(body["contract_hash"], encoder, head, float(body["horizon_days"]), int(body["evidence"]), intervals)
