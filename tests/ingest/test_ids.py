"""What an id may be: the same over HTTP as in the tables."""

from __future__ import annotations

import duckdb
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from decisioning.vocabulary import UNFIT_FOR_IDS
from serving.schemas.decisions import Id

_IDS = TypeAdapter(Id)
_ALPHABET = st.sampled_from("a/żß🐢\t\n\r\x00\x1f\x7f \u0085\u00a0\u1680\u200a\u200b\u2028\u3000") | st.characters(
    exclude_categories=["Cs"]
)


def _over_http(text: str) -> bool:
    try:
        return _IDS.validate_python(text) == text
    except ValidationError:
        return False


@given(text=st.text(_ALPHABET, min_size=1, max_size=4))
@example("../../etc")
@example("\t")
@example("\u2003 ")
def test_duckdb_and_the_api_take_the_same_ids(text: str) -> None:
    (unfit,) = duckdb.execute("SELECT regexp_matches(?, ?)", [text, UNFIT_FOR_IDS]).fetchall()[0]
    assert _over_http(text) is not unfit
