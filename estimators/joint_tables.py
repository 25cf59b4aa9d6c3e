"""The served bundles as the tables that `joint_kernels` reads: linear scores as columns of one matrix, tree models as one forest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from estimators.arrays import FloatArray, IntArray
from estimators.bundle_propensity import Arm, PropensityBundle
from estimators.bundle_uplift import UpliftBundle
from estimators.calibration import IsotonicCalibrator, PlattCalibrator
from estimators.encoding import FeatureEncoder
from estimators.forest import Forest
from estimators.forest_text import NotUnderstood
from estimators.heads import ResponseHead
from estimators.joint_kernels import (
    ARM,
    CATEGORY,
    COLUMN,
    EFFECT,
    ISOTONIC,
    MEMBER,
    MISSING,
    NO_CALIBRATOR,
    NONE,
    NUMBER,
    OF_LINEAR,
    OF_MIX,
    OF_TREES,
    PLACE,
    PLATT,
    RESPONSE,
    VALUE,
    Design,
    Records,
)
from estimators.joint_rows import RowReader
from estimators.own_score import OwnScore
from estimators.scores import CurvedScore, LinearScore, Score, TreeScore
from estimators.uplift_head import UpliftHead


class Block(NamedTuple):
    """Where an encoder's matrices stand: its linear one from column `first` of the design on, `width` of them; its tree one in the rows."""

    first: int
    width: int
    trees: IntArray


@dataclass(eq=False)
class Parts:
    """The scores that the tables refer to, collected while they are made.

    Parameters
    ----------
    reader : RowReader
    """

    reader: RowReader
    _columns: list[tuple[int, int, float, float, float]] = field(default_factory=list)
    _keys: dict[int, str] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)
    _bent: dict[int, int] = field(default_factory=dict)
    _linear: dict[int, tuple[int, int, LinearScore | CurvedScore]] = field(default_factory=dict)
    _trees: dict[int, tuple[int, TreeScore, dict[int, int]]] = field(default_factory=dict)

    def linear(self, score: LinearScore | CurvedScore, encoder: FeatureEncoder) -> int:
        """The place of a linear score; the same score is computed once."""
        if id(score) not in self._linear:
            first = self._block(encoder)
            if isinstance(score, CurvedScore):
                for j in score.bent.tolist():
                    self._bent.setdefault(first + j, len(self._bent))
            self._linear[id(score)] = (len(self._linear), first, score)
        return self._linear[id(score)][0]

    def trees(self, score: TreeScore, columns: dict[int, int]) -> int:
        """The place of a tree model whose features stand in `columns`."""
        return self._trees.setdefault(id(score), (len(self._trees), score, columns))[0]

    def design(self) -> Design:
        """All linear scores."""
        coef = np.zeros((len(self._columns) + len(self._bent), len(self._linear)))
        intercept = np.zeros(len(self._linear))
        for place, first, score in self._linear.values():
            intercept[place] = score.intercept
            coef[first : first + len(score.coef), place] = score.coef
            if isinstance(score, CurvedScore):
                squares = [len(self._columns) + self._bent[first + j] for j in score.bent.tolist()]
                coef[squares, place] = score.bent_coef
        return Design(np.array(self._columns, dtype=COLUMN), np.array(list(self._bent), dtype=np.int32), coef, intercept)

    def forest(self, n_columns: int) -> Forest:
        """All tree models."""
        models = list(self._trees.values())
        texts, columns = [score.text for _, score, _ in models], [places for _, _, places in models]
        return Forest.of_texts(texts, columns=columns, n_columns=n_columns)

    def encoded(self, encoder: FeatureEncoder) -> Block:
        """Where an encoder's matrices stand."""
        columns = self.reader.columns_of(encoder)
        return Block(self._block(encoder), len(encoder.linear_names), np.array([columns[j] for j in range(len(columns))], dtype=np.int64))

    def _block(self, encoder: FeatureEncoder) -> int:
        """The first column of an encoder's linear matrix; equal encoders share theirs."""
        if id(encoder) not in self._keys:
            self._keys[id(encoder)] = json.dumps(encoder.to_dict())
        key = self._keys[id(encoder)]
        if key not in self._first:
            self._first[key] = len(self._columns)
            self._columns += _encoded(encoder, self.reader)
        return self._first[key]


def _encoded(encoder: FeatureEncoder, reader: RowReader) -> list[tuple[int, int, float, float, float]]:
    """The columns of the linear matrix, in order: kind, source, log unit, centre, scale."""
    numbers, tree_columns, names = encoder.numbers, reader.columns_of(encoder), list(encoder.dtypes)
    source = {name: tree_columns[j] for j, name in enumerate(names)}
    scales = zip(numbers.names, numbers.log_unit.tolist(), numbers.mean.tolist(), numbers.scale.tolist(), strict=True)
    found = [(NUMBER, source[name], unit, mean, scale) for name, unit, mean, scale in scales if scale > 0]
    shares = zip(numbers.names, numbers.null_share.tolist(), strict=True)
    found += [(MISSING, source[name], 0.0, share, 0.0) for name, share in shares if share >= 0]
    for one in encoder.categories:
        found += [(CATEGORY, source[one.name], 0.0, share, float(code)) for code, share in enumerate(one.shares)]
        if one.null_share >= 0:
            found.append((CATEGORY, source[one.name], 0.0, one.null_share, float(len(one.levels) + 1)))
    return found


def responses(bundle: PropensityBundle | None, parts: Parts) -> tuple[Records, FloatArray, FloatArray]:
    """The response heads, that of opting out last, and the knots and values of their calibrators.

    Raises
    ------
    NotUnderstood
        A head asks an estimator of the user's own.
    """
    rows: list[tuple[Any, ...]] = []
    knots, levels = [np.empty(0)], [np.empty(0)]
    for head, encoder in _response_heads(bundle):
        linear, trees, calibrator = NONE, NONE, head.calibrator
        if isinstance(head.linear, OwnScore):
            raise NotUnderstood("responses are predicted by an estimator of the workspace's own")
        if head.weights[1] > 0 and head.linear is not None:
            linear = parts.linear(head.linear, encoder)
        if head.weights[2] > 0 and head.trees is not None:
            trees = parts.trees(head.trees, parts.reader.columns_of(encoder))
        kind, intercept, slope, start = NO_CALIBRATOR, 0.0, 0.0, sum(map(len, knots))
        if isinstance(calibrator, PlattCalibrator):
            kind, intercept, slope = PLATT, calibrator.intercept, calibrator.slope
        elif isinstance(calibrator, IsotonicCalibrator):
            kind = ISOTONIC
            knots.append(calibrator.knots)
            levels.append(calibrator.values)
        weights = (head.weights[0] * head.base_rate, *head.weights[1:])
        rows.append((*weights, head.shift, intercept, slope, linear, trees, kind, start, sum(map(len, knots))))
    return np.array(rows, dtype=RESPONSE), np.concatenate(knots), np.concatenate(levels)


def _response_heads(bundle: PropensityBundle | None) -> list[tuple[ResponseHead, FeatureEncoder]]:
    if bundle is None:
        return []
    heads = [*bundle.heads.values(), *([] if bundle.opt_out is None else [bundle.opt_out.response])]
    return [(head, bundle.encoder) for head in heads]


def effects(bundle: UpliftBundle | None, parts: Parts) -> tuple[Records, Records, Records]:
    """The uplift heads, their members, and their channels in the order of each contrast's `exposed`.

    Raises
    ------
    NotUnderstood
        A member is of a kind that the kernel does not know.
    """
    rows: list[tuple[float, float, int, int, int, int, int]] = []
    members: list[tuple[float, float, int, int]] = []
    places: list[tuple[float, int]] = []
    for head, encoder in [] if bundle is None else [(head, bundle.encoder) for head in bundle.heads.values()]:
        first, first_place, unexposed, contrast = len(members), len(places), NONE, head.contrast
        members += [(one.weight, one.centre, *_member(one.score, head, encoder, parts)) for one in head.members]
        if contrast is not None:
            unexposed = parts.linear(contrast.unexposed, encoder)
            places += [(contrast.shares.get(channel, 0.0), parts.linear(score, encoder)) for channel, score in contrast.exposed.items()]
        counts = (first, len(members) - first, first_place, len(places) - first_place)
        rows.append((head.average_effect, head.trust, unexposed, *counts))
    return np.array(rows, dtype=EFFECT), np.array(members, dtype=MEMBER), np.array(places, dtype=PLACE)


def _member(score: Score, head: UpliftHead, encoder: FeatureEncoder, parts: Parts) -> tuple[int, int]:
    if score is head.contrast:
        return OF_MIX, NONE
    if isinstance(score, LinearScore | CurvedScore):
        return OF_LINEAR, parts.linear(score, encoder)
    if isinstance(score, TreeScore):
        return OF_TREES, parts.trees(score, parts.reader.columns_of(encoder))
    raise NotUnderstood(f"a member of an uplift head; got {type(score).__name__}; allowed: linear, curved, trees or the head's contrast")


def values(bundle: PropensityBundle | None, actions: Sequence[str], parts: Parts) -> Records:
    """The value heads of some actions; one that there is not is NaN for everybody."""
    rows = []
    for action in actions:
        if bundle is None or action not in bundle.values:
            rows.append((np.nan, 0.0, 0.0, 0.0, NONE))
            continue
        head = bundle.values[action]
        linear = NONE if head.score is None else parts.linear(head.score, bundle.encoder)
        rows.append((head.mean, head.back, head.low, head.high, linear))
    return np.array(rows, dtype=VALUE)


def arms_of(arms: Sequence[Arm], propensity: PropensityBundle | None, uplift: UpliftBundle | None) -> Records:
    """The arms that are asked about; the opt-out head, where there is one, stands behind the heads of the actions."""
    heads = {} if propensity is None else _places(propensity.heads)
    opt_out = None if propensity is None else propensity.opt_out
    lifted, channels = ({}, {}) if uplift is None else (_places(uplift.heads), _channels(uplift))
    rows = []
    for action, channel in arms:
        offset = 0.0 if propensity is None else propensity.channel_offsets.get((action, channel), 0.0)
        risk = 0.0 if opt_out is None else opt_out.channel_offsets.get(channel or "", 0.0)
        places = (heads.get(action, NONE), NONE if opt_out is None else len(heads), lifted.get(action, NONE))
        rows.append((offset, risk, *places, channels.get((action, channel), NONE)))
    return np.array(rows, dtype=ARM)


def _places(names: Mapping[str, Any]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _channels(uplift: UpliftBundle) -> dict[Arm, int]:
    """Where each action's channels stand among those of all actions."""
    found = [(action, channel) for action, head in uplift.heads.items() if head.contrast is not None for channel in head.contrast.exposed]
    return {arm: place for place, arm in enumerate(found)}
