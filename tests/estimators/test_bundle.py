"""A bundle gives the same answers after a trip to disk, one row or many, and is refused when it is not whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from estimators import bundle_files
from estimators.action_uplifts import UpliftSettings, fit_action_uplifts
from estimators.arrays import Columns, FloatArray
from estimators.bundle import Bundle, ClvBundle, OptOutHead, PropensityBundle, UpliftBundle, load_bundle
from estimators.clv import TweedieClv
from estimators.clv_bg_nbd import BetaGeoParams
from estimators.clv_gamma_gamma import GammaGammaParams
from estimators.clv_heads import BtydClvHead
from estimators.effect_levels import Place
from estimators.effect_rows import NOTHING, LoggedActions
from estimators.encoding import Encoded, FeatureEncoder
from estimators.propensity import ResponseModel
from estimators.uplift_head import UpliftHead
from estimators.value import ValueModel
from tests.estimators.worlds import DTYPES, NOW, mixed_columns

ARMS = [("loan", "call"), ("loan", None), ("card", "email"), ("unknown", "email")]
COLUMNS = {**mixed_columns(3_000), "purchase_count": np.tile([0.0, 4.0], 1500), "days_since_first_purchase": np.tile([np.nan, 200.0], 1500)}
COLUMNS |= {"repeat_purchase_days": np.tile([np.nan, 3.0], 1500), "last_gap_days": np.tile([np.nan, 150.0], 1500)}
COLUMNS |= {"repeat_purchase_value_mean": np.tile([np.nan, 80.0], 1500)}
BTYD = BtydClvHead(BetaGeoParams(0.24, 31.0, 0.79, 2.4), GammaGammaParams(6.0, 4.0, 15.0), 0.3, 0.1, 12.0)


def an_uplift(rows: Encoded, encoder: FeatureEncoder, y: FloatArray, w: FloatArray) -> UpliftHead:
    """Of a loan offered by telephone, which works, and by e-mail, which does not."""
    called, everybody = w * (np.arange(len(w)) % 2 == 0), np.ones((len(w), 1), dtype=bool)
    action, channel = np.where(w == 1, 0, NOTHING), np.where(w == 1, np.where(called, 0, 1), NOTHING)
    labels = np.where((w == 1) & (called == 0), np.roll(y, 1) * 0.0, y)[:, None]
    zero = np.zeros(1, dtype=np.int64)
    logged = LoggedActions((Place("loan"),), ("call", "email"), zero, action, channel, labels, everybody, np.ones(len(w)))
    settings = UpliftSettings(encoder.categorical_indices)
    return fit_action_uplifts(rows, logged, np.ones(len(w)), np.arange(len(w)) // 4 % 2, settings).by_action[0].head


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    rng = np.random.default_rng(0)
    encoder = FeatureEncoder.fit(COLUMNS, DTYPES, NOW)
    rows, w = encoder.encode(COLUMNS, NOW), (rng.random(3_000) < 0.5).astype(float)
    bend = (np.abs(np.nan_to_num(COLUMNS["age"]) - 50) > 20) * 1.0
    y = (rng.random(3_000) < expit(-2 + 1.5 * bend + w * (1.0 - bend))).astype(float)
    response = ResponseModel(encoder.categorical_indices).fit(rows.trees, y, X_linear=rows.linear).head_
    uplift = an_uplift(rows, encoder, y, w)
    value = ValueModel().fit(rows.linear, 50 * np.exp(0.5 * rows.linear[:, 0])).head_
    heads = {"loan": response, "card": ResponseModel().fit(rows.trees[:20], y[:20]).head_}
    tweedie = TweedieClv(encoder.categorical_indices).fit(rows.trees, rng.gamma(1.0, 10 + 50 * bend)).head(0.7)
    opt_out = OptOutHead(response, {"call": 0.4})
    return {
        "propensity": PropensityBundle("a81e", encoder, heads, {("loan", "call"): 0.3}, opt_out, {"loan": value}),
        "uplift": UpliftBundle("a81e", encoder, {"loan": uplift}, {("loan", None): (0.1, 0.02)}),
        "btyd": ClvBundle("a81e", encoder, BTYD, 365.0, 3_000),
        "trees": ClvBundle("a81e", encoder, tweedie, 365.0, 3_000),
    }


def answers(bundle: Bundle, columns: Columns) -> dict[str, Any]:
    if isinstance(bundle, PropensityBundle):
        return {
            "propensity": bundle.propensity(columns, NOW, ARMS),
            "opt_out": bundle.opt_out_risk(columns, NOW, ["call", None]),
            "value": bundle.observed_value(columns, NOW, ["loan", "card"]),
        }
    if isinstance(bundle, UpliftBundle):
        actions = [action for action, _ in ARMS]
        return {"uplift": bundle.uplift(columns, NOW, ARMS), "errors": bundle.standard_errors(columns, NOW, actions)[:, :1]}
    return {"clv": bundle.clv(columns, NOW)}


KINDS = ["propensity", "uplift", "btyd", "trees"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_answers_the_same_after_a_trip_to_disk(bundles: dict[str, Bundle], kind: str, tmp_path: Path) -> None:
    bundle = bundles[kind]
    bundle.save(tmp_path / kind)
    again = load_bundle(tmp_path / kind)
    assert type(again) is type(bundle)
    assert (again.contract_hash, again.feature_dtypes) == ("a81e", DTYPES)
    for name, expected in answers(bundle, COLUMNS).items():
        np.testing.assert_array_equal(answers(again, COLUMNS)[name], expected)
    assert {path.suffix for path in (tmp_path / kind).iterdir()} <= {".json", ".txt"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_contact_alone_gets_the_answer_that_he_gets_in_a_batch(bundles: dict[str, Bundle], kind: str) -> None:
    whole = answers(bundles[kind], COLUMNS)
    for i in (0, 1, 2_998):
        alone = answers(bundles[kind], {name: column[i : i + 1] for name, column in COLUMNS.items()})
        for name, expected in whole.items():
            np.testing.assert_array_equal(alone[name][0], expected[i])


@pytest.mark.parametrize("kind", KINDS)
def test_a_contact_of_whom_nothing_is_known_gets_an_answer(bundles: dict[str, Bundle], kind: str) -> None:
    for name, answer in answers(bundles[kind], {}).items():
        known = answer[:, :1] if name in ("propensity", "uplift", "value") else answer
        assert np.isfinite(known).all()


def test_arms_without_a_head_are_nan_and_channels_move_the_others(bundles: dict[str, Bundle]) -> None:
    for kind in ("propensity", "uplift"):
        answer = next(iter(answers(bundles[kind], COLUMNS).values()))
        assert np.isnan(answer[:, 3]).all()
        assert (answer[:, 0] > answer[:, 1]).all()
        assert np.abs(answer[:, :2]).max() <= 1.0
    bundle = bundles["propensity"]
    assert isinstance(bundle, PropensityBundle)
    assert np.isnan(bundle.observed_value(COLUMNS, NOW, ["card"])).all()
    assert (bundle.evidence("loan"), bundle.evidence("card"), bundle.evidence("unknown")) == (3_000, 20, 0)


def test_without_any_opt_out_the_risk_is_not_known() -> None:
    encoder = FeatureEncoder.fit(COLUMNS, DTYPES, NOW)
    assert np.isnan(PropensityBundle("a81e", encoder, {}).opt_out_risk(COLUMNS, NOW, ["call"])).all()


def test_an_uplift_bundle_without_heads_says_why(tmp_path: Path) -> None:
    encoder = FeatureEncoder.fit(COLUMNS, DTYPES, NOW)
    UpliftBundle("a81e", encoder, {}, reason="no no_action interactions: uplift cannot be identified").save(tmp_path)
    again = load_bundle(tmp_path)
    assert isinstance(again, UpliftBundle)
    assert again.reason == "no no_action interactions: uplift cannot be identified"
    assert np.isnan(again.uplift(COLUMNS, NOW, [("loan", None)])).all()


def test_encoding_once_gives_the_same_answers(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["uplift"]
    assert isinstance(bundle, UpliftBundle)
    encoded = bundle.encode(COLUMNS, NOW)
    np.testing.assert_array_equal(bundle.uplift({}, NOW, ARMS, encoded=encoded), bundle.uplift(COLUMNS, NOW, ARMS))


def test_clv_of_a_non_buyer_is_what_training_said(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["btyd"]
    assert isinstance(bundle, ClvBundle)
    clv = bundle.clv(COLUMNS, NOW)
    assert clv[0] == 12.0
    assert clv[1] > 12.0
    assert bundle.method == "bg_nbd x gamma_gamma"
    assert isinstance(bundles["trees"], ClvBundle)
    assert bundles["trees"].method == "lightgbm"


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda d: (d / "bundle.json").unlink(), "there is no bundle"),
    (lambda d: (d / "trees_000.txt").unlink(), "damaged: trees_000.txt is missing"),
    (lambda d: (d / "trees_000.txt").write_text((d / "trees_000.txt").read_text()[:-100]), "trees_000.txt does not match its checksum"),
    (lambda d: (d / "trees_000.txt").write_bytes(b"\xff\xfe"), "trees_000.txt is not text"),
    (lambda d: (d / "bundle.json").write_text((d / "bundle.json").read_text()[:500]), "bundle.json is not JSON"),
    (lambda d: (d / "bundle.json").write_text("[]"), "bundle.json is not a JSON object"),
    (lambda d: rewrite(d / "bundle.json", lambda b: b["body"].update(contract_hash="other")), "does not match its own checksum"),
    (lambda d: rewrite(d / "bundle.json", lambda b: b.update(format_version=99)), "got 99; allowed: 1"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[message for _, message in DAMAGES])
def test_a_damaged_bundle_is_refused_plainly(
    bundles: dict[str, Bundle], tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    bundles["propensity"].save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_bundle(tmp_path)


def test_a_bundle_of_an_earlier_version_is_checked_by_its_canonical_form(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    bundles["uplift"].save(tmp_path)
    (tmp_path / "bundle_sha256.txt").unlink()
    assert load_bundle(tmp_path).kind == "uplift"
    rewrite(tmp_path / "bundle.json", lambda document: document["body"].update(contract_hash="other"))
    with pytest.raises(ValueError, match="does not match its own checksum"):
        load_bundle(tmp_path)


def test_an_unknown_kind_is_refused(bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PropensityBundle, "kind", "ladder")
    bundles["propensity"].save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="the bundle's kind is not known; got 'ladder'; allowed: propensity, uplift, clv, lead"):
        load_bundle(tmp_path)


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_the_checksum_made_of_pieces_is_that_of_the_whole_document(body: Any) -> None:
    document = {"kind": "uplift", "body": body}
    whole = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    assert bundle_files._checksum(document) == hashlib.sha256(whole.encode("utf-8")).hexdigest()
