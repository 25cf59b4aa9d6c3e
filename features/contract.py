"""The feature contract: the one list of what is known about a contact, and its hash.

A contract is the ordered list of features of a workspace. Its hash travels with every built row, every online vector and every
trained model, so that a model never reads features of another meaning.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from decisioning.errors import DataError
from decisioning.vocabulary import DTYPES, Dtype

TIMELESS = np.datetime64("2000-01-01T00:00:00", "us")
"""The as_of of interactions without times (a one-shot experiment): every attribute counts as known, no event does."""

IDENTITY_UNIT = "id"
"""The unit of features that identify (account_id): retrievable with the rest, never an input of a model."""

RESERVED_NAMES = ("contact_id", "as_of", "event_timestamp", "valid_from")
"""Names of the keys of a feature row: no feature may take one."""

_TAKEN_BY_FEAST = ("entity_row_id", "event_expire_timestamp", "nudge_row", "rn", "row_number")
_HASH_LENGTH = 12
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_NOT_IDENTIFIER = re.compile(r"[^a-z0-9]+")
# Letters that Unicode does not decompose into a base letter and an accent.
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})


@dataclass(frozen=True)
class FeatureSpec:
    """One feature: what it is called, what it holds and where it comes from.

    Parameters
    ----------
    name : str
        Identifier, ``[a-z][a-z0-9_]*``: what rules, models and Feast call it.
    dtype : Dtype
        One of ``decisioning.vocabulary.DTYPES``.
    unit : str
        ``count``, ``days``, ``minutes``, ``money``, ``share``, ``flag``, ``id`` or ``none`` (an attribute whose unit only its owner knows).
    null_rule : str
        What a NULL means, or ``never`` where there is none.
    window_days : int or None
        Length of the window before as_of in days; None where the feature is not windowed.
    source : str
        Where it comes from, with the original column name, for example ``contacts.Age Group``.
    description : str
        One line for people; not part of the contract's hash.
    """

    name: str
    dtype: Dtype
    unit: str
    null_rule: str
    window_days: int | None
    source: str
    description: str

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name) or self.name in RESERVED_NAMES:
            raise DataError(
                "not a feature name", field=self.source, got=repr(self.name), allowed="[a-z][a-z0-9_]* that is not a key of a row"
            )
        if self.dtype not in DTYPES:
            raise DataError("not a feature dtype", field=self.name, got=self.dtype, allowed=", ".join(DTYPES))


@dataclass(frozen=True)
class FeatureContract:
    """The features of a workspace, in the order in which people read them.

    Raises
    ------
    DataError
        Where two features have one name.

    Examples
    --------
    >>> age = FeatureSpec("age", "int", "none", "unknown", None, "contacts.Age", "")
    >>> city = FeatureSpec("city", "string", "none", "unknown", None, "contacts.city", "")
    >>> FeatureContract((age, city)).names
    ('age', 'city')
    >>> FeatureContract((age, city)).hash == FeatureContract((city, age)).hash
    True
    """

    specs: tuple[FeatureSpec, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for spec in self.specs:
            if spec.name in seen:
                raise DataError(
                    "two features have one name",
                    field=spec.source,
                    got=f"{spec.name}, also from {seen[spec.name]}",
                    hint="rename one of them",
                )
            seen[spec.name] = spec.source

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal characters of the SHA-256 of the canonical JSON; order and descriptions do not count."""
        rows = [{key: value for key, value in asdict(spec).items() if key != "description"} for spec in self.specs]
        canonical = json.dumps(sorted(rows, key=lambda row: str(row["name"])), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_LENGTH]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every feature's name, in order."""
        return tuple(spec.name for spec in self.specs)

    @cached_property
    def dtypes(self) -> dict[str, Dtype]:
        """Every feature's dtype, by name."""
        return {spec.name: spec.dtype for spec in self.specs}

    def to_json(self) -> str:
        """The contract as a JSON document with its hash; `from_json` reads it back."""
        return json.dumps({"hash": self.hash, "features": [asdict(spec) for spec in self.specs]}, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FeatureContract:
        """Read what `to_json` wrote.

        Raises
        ------
        DataError
            Where the text is not a contract, or its hash is not that of its features.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            contract = cls(tuple(FeatureSpec(**row) for row in document["features"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("not a feature contract", got=str(error), hint="run nudge features build") from error
        if document.get("hash") != contract.hash:
            raise DataError(
                "the feature contract was changed by hand", got=document.get("hash"), allowed=contract.hash, hint="run nudge features build"
            )
        return contract


def identifier(name: str) -> str:
    """The identifier of a column name of any language: lower case, ``[a-z0-9_]``, a letter first.

    Examples
    --------
    >>> identifier("Age Group-2"), identifier("Łączna kwota (zł)"), identifier("2nd"), identifier("__")
    ('age_group_2', 'laczna_kwota_zl', 'f_2nd', 'column')
    """
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS)).lower()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = _NOT_IDENTIFIER.sub("_", plain).strip("_") or "column"
    return plain if plain[0].isalpha() else f"f_{plain}"


def stored_name(name: str) -> str:
    """The column of a feature row, and what Feast calls the feature: our name, but for those that Feast's retrieval takes for its own.

    Its point-in-time join drops every column that ends in ``_y`` and adds columns. No identifier of ours ends in an underscore.

    Examples
    --------
    >>> stored_name("age"), stored_name("pay_y")
    ('age', 'pay_y_')
    """
    return f"{name}_" if name.endswith(("_y", "_yyyy")) or name in _TAKEN_BY_FEAST else name


def unique_identifiers(names: Iterable[str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """An identifier for each name, none twice and none of `taken`: a later namesake gets _2, _3 and so on.

    Examples
    --------
    >>> unique_identifiers(["Age", "age ", "as of"], taken=["as_of"])
    {'Age': 'age', 'age ': 'age_2', 'as of': 'as_of_2'}
    """
    used, result = set(taken), {}
    for name in names:
        base = candidate = identifier(name)
        number = 2
        while candidate in used:
            candidate, number = f"{base}_{number}", number + 1
        used.add(candidate)
        result[name] = candidate
    return result
