"""LightGBM's own model text, read into plain trees; what is not understood is refused, so that LightGBM itself can answer instead."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
LARGEST = 1e308
"""Finite thresholds stay below the largest float, which stands for infinity in the layout."""

_CATEGORICAL, _DEFAULT_LEFT, _KNOWN_BITS = 1, 2, 0b1111
_VERSIONS = ("v3", "v4")
_HEADER_MUST = {"num_class": "1", "num_tree_per_iteration": "1"}
_HEADER = {"version", *_HEADER_MUST, "label_index", "max_feature_idx", "objective", "feature_names", "feature_infos", "tree_sizes"}
_HEADER |= {"monotone_constraints"}
_OF_SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_TREE = {"num_leaves", "num_cat", *_OF_SPLITS, "leaf_value", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"}
_TREE |= {"split_gain", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count"}


class NotUnderstood(ValueError):
    """The text says something that this project's kernel does not do: linear leaves, several classes, an unknown word."""


@dataclass(frozen=True)
class Split:
    """One inner node. A negative child is the leaf `-child - 1`.

    Parameters
    ----------
    feature : int
    threshold : float
        Numbers at most this go left; an infinity sends all numbers one way and NaN perhaps the other.
    missing : int
        `MISSING_NONE` (NaN is 0), `MISSING_ZERO` (0 and NaN go the default way) or `MISSING_NAN` (NaN does).
    default_left : bool
    categories : tuple of int or None
        Of a category: the bits of those that go left, 32 a word; the others, unseen, negative and NaN go right.
    left, right : int
    """

    feature: int
    threshold: float
    missing: int
    default_left: bool
    categories: tuple[int, ...] | None
    left: int
    right: int


@dataclass(frozen=True)
class Tree:
    """The splits, the root first (none where there is but one leaf), and what each leaf adds."""

    splits: tuple[Split, ...]
    leaves: tuple[float, ...]


@dataclass(frozen=True)
class Trees:
    """A model: its raw score is the sum of its trees, in this order."""

    n_features: int
    trees: tuple[Tree, ...]


def read_trees(text: str) -> Trees:
    """The model that LightGBM's text describes.

    Raises
    ------
    NotUnderstood
        The text holds what the kernel does not do, or is damaged.

    Examples
    --------
    >>> read_trees("tree\\nversion=v9\\nend of trees\\n")
    Traceback (most recent call last):
        ...
    estimators.forest_text.NotUnderstood: LightGBM's text: version; got 'v9'; allowed: v3, v4
    """
    try:
        return _read(text)
    except (KeyError, ValueError, IndexError) as error:
        if isinstance(error, NotUnderstood):
            raise
        raise NotUnderstood(f"LightGBM's text cannot be read: {error!r}") from error


def _read(text: str) -> Trees:
    blocks = list(_blocks(text))
    header = blocks[0]
    _check(header.keys() <= _HEADER, "the header", ", ".join(sorted(header.keys() - _HEADER)), "what is known")
    _check(header["version"] in _VERSIONS, "version", repr(header["version"]), ", ".join(_VERSIONS))
    for name, must in _HEADER_MUST.items():
        _check(header[name] == must, name, header[name], must)
    n_features = int(header["max_feature_idx"]) + 1
    sizes = header.get("tree_sizes", "").split()
    _check(len(sizes) == len(blocks) - 1, "the number of trees", str(len(blocks) - 1), str(len(sizes)))
    return Trees(n_features, tuple(_tree(block, n_features) for block in blocks[1:]))


def _blocks(text: str) -> Iterator[dict[str, str]]:
    """The header and each tree, as word -> what it says."""
    lines = iter(text.splitlines())
    _check(next(lines, None) == "tree", "the first line", "something else", "tree")
    block: dict[str, str] = {}
    for line in lines:
        if line.startswith("Tree=") or line == "end of trees":
            yield block
            block = {}
            if line == "end of trees":
                return
        elif line:
            name, _, value = line.partition("=")
            block[name] = value
    _check(False, "the trees", "no end", "end of trees")


def _tree(said: Mapping[str, str], n_features: int) -> Tree:
    _check(said.keys() <= _TREE, "a tree", ", ".join(sorted(said.keys() - _TREE)), "what is known")
    _check(said.get("is_linear", "0") == "0", "is_linear", said.get("is_linear", "0"), "0")
    leaves = tuple(float(value) for value in said["leaf_value"].split())
    _check(
        len(leaves) == int(said["num_leaves"]) and all(map(math.isfinite, leaves)), "leaf_value", said["leaf_value"][:40], "finite numbers"
    )
    if len(leaves) == 1:
        return Tree((), leaves)
    columns = [said[name].split() for name in _OF_SPLITS]
    bitsets = _bitsets(said) if int(said["num_cat"]) else []
    splits = tuple(_split(values, bitsets) for values in zip(*columns, strict=True))
    _check(len(splits) == len(leaves) - 1, "the number of splits", str(len(splits)), str(len(leaves) - 1))
    _check(all(0 <= one.feature < n_features for one in splits), "split_feature", said["split_feature"][:40], f"0 to {n_features - 1}")
    children = sorted(child for one in splits for child in (one.left, one.right))
    _check(children == [*range(-len(leaves), 0), *range(1, len(splits))], "the children", str(children)[:40], "each node once")
    return Tree(splits, leaves)


def _bitsets(said: Mapping[str, str]) -> list[tuple[int, ...]]:
    bounds = [int(value) for value in said["cat_boundaries"].split()]
    words = [int(value) for value in said["cat_threshold"].split()]
    return [tuple(words[low:high]) for low, high in pairwise(bounds)]


def _split(values: tuple[str, ...], bitsets: list[tuple[int, ...]]) -> Split:
    feature, kind, left, right = (int(values[place]) for place in (0, 2, 3, 4))
    threshold, missing = float(values[1]), kind >> 2
    _check(not kind & ~_KNOWN_BITS and missing <= MISSING_NAN, "decision_type", str(kind), "what is known")
    _check(abs(threshold) <= LARGEST or math.isinf(threshold), "threshold", values[1], f"at most {LARGEST} or an infinity")
    categories = bitsets[int(threshold)] if kind & _CATEGORICAL else None
    return Split(feature, threshold, missing, bool(kind & _DEFAULT_LEFT), categories, left, right)


def _check(holds: bool, what: str, got: str, allowed: str) -> None:
    if not holds:
        raise NotUnderstood(f"LightGBM's text: {what}; got {got}; allowed: {allowed}")
