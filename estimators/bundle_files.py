"""A bundle on disk: a directory of bundle.json and files of text (LightGBM's, skops' as base64), with the checksum of each; never a pickle.

bundle.json is written last, so a directory that a killed process left half-written has none and is refused. Beside it stands the digest of
its bytes, which is checked without keeping the interpreter from whoever serves; a bundle of an earlier version has none, and its JSON is
written again in its canonical form to see whether it is what it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from estimators.own_score import OWN_KEY, TRUSTED_KEY, is_plain
from estimators.scores import TEXT_KEY

FORMAT_VERSION = 1
MANIFEST, SEAL = "bundle.json", "bundle_sha256.txt"
"""The body, and the digest of its bytes."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_FILES = {TEXT_KEY: ("lightgbm_file", "trees"), OWN_KEY: ("skops_file", "estimator")}
"""Of each text that has a file of its own: the key under which its name stands, and how the name begins."""


def write_bundle(directory: Path, kind: str, body: Mapping[str, Any]) -> None:
    """Write a bundle's body; every LightGBM text goes to a file of its own.

    Parameters
    ----------
    directory : Path
        Created where absent.
    kind : str
        "propensity", "uplift", "clv" or "lead".
    body : mapping
        JSON values.
    """
    directory.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str] = {}
    document = {"kind": kind, "format_version": FORMAT_VERSION, "body": _texts_to_files(body, texts)}
    document["files"] = {name: _sha256(text) for name, text in texts.items()}
    document["sha256"] = _checksum(document)
    for name, text in texts.items():
        _write(directory / name, text)
    # Python's own encoder writes indented JSON without its part in C.
    written = msgspec.json.format(json.dumps(document, allow_nan=False), indent=1)
    _write(directory / SEAL, f"{_sha256(written)}\n")
    _write(directory / MANIFEST, written)


def read_bundle(directory: Path) -> tuple[str, dict[str, Any]]:
    """The kind and the body that `write_bundle` wrote.

    Raises
    ------
    ValueError
        If there is no bundle, its format version is another, or a file is missing, cut short or changed.
    """
    document, written = _read_document(directory)
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{directory}: the bundle has another format version; got {version!r}; allowed: {FORMAT_VERSION}. Hint: train again"
        )
    stated = document.pop("sha256", None)
    if not _is_intact(directory, written, stated, document):
        raise _damaged(directory, f"{MANIFEST} does not match its own checksum")
    texts = {name: _read_text(directory, name, sha256) for name, sha256 in document["files"].items()}
    body: dict[str, Any] = _files_to_texts(document["body"], texts)
    return str(document["kind"]), body


def _read_document(directory: Path) -> tuple[dict[str, Any], bytes]:
    """The document, and as it is written."""
    path = directory / MANIFEST
    if not path.is_file():
        raise ValueError(f"{directory}: there is no bundle; got no {MANIFEST}. Hint: train first, or name the bundle's own directory")
    try:
        written = path.read_bytes()
        document = msgspec.json.decode(written)
    except msgspec.DecodeError as error:
        raise _damaged(directory, f"{MANIFEST} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise _damaged(directory, f"{MANIFEST} is not a JSON object")
    return document, written


def _is_intact(directory: Path, written: bytes, stated: object, document: Mapping[str, Any]) -> bool:
    """Whether a document is what was written: by the digest of its bytes, or where there is none by that of its canonical form."""
    seal = directory / SEAL
    if seal.is_file():
        return seal.read_bytes().strip() == hashlib.sha256(written).hexdigest().encode()
    return stated == _checksum(document)


def _read_text(directory: Path, name: str, sha256: str) -> str:
    path = directory / name
    if Path(name).name != name or not path.is_file():
        raise _damaged(directory, f"{name} is missing")
    try:
        written = path.read_bytes()
        text = written.decode("utf-8")
    except ValueError as error:
        raise _damaged(directory, f"{name} is not text") from error
    if hashlib.sha256(written).hexdigest() != sha256:
        raise _damaged(directory, f"{name} does not match its checksum")
    return text


def _damaged(directory: Path, why: str) -> ValueError:
    return ValueError(f"{directory}: the bundle is damaged: {why}. Hint: train again, or restore the directory")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(text.encode("utf-8"))
    os.replace(temporary, path)


def _texts_to_files(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        for text_key, (file_key, word) in _FILES.items():
            if text_key in value:
                name = f"{word}_{len(texts):03d}.txt"
                texts[name] = value[text_key]
                return {**{key: part for key, part in value.items() if key not in (text_key, TRUSTED_KEY)}, file_key: name}
        return {key: _texts_to_files(part, texts) for key, part in value.items()}
    if isinstance(value, list) and not is_plain(value):
        return [_texts_to_files(part, texts) for part in value]
    return value


def _files_to_texts(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        for text_key, (file_key, _) in _FILES.items():
            if file_key in value:
                return {**{key: part for key, part in value.items() if key != file_key}, text_key: texts[value[file_key]]}
        return {key: _files_to_texts(part, texts) for key, part in value.items()}
    if isinstance(value, list) and not is_plain(value):
        return [_files_to_texts(part, texts) for part in value]
    return value


def _checksum(document: Mapping[str, Any]) -> str:
    """The digest of the document as JSON with sorted keys and without spaces.

    It is made of pieces: whoever serves while another version is read waits for the interpreter as long as the longest piece takes.
    """
    digest = hashlib.sha256()
    for piece in _canonical(document):
        digest.update(piece.encode("utf-8"))
    return digest.hexdigest()


def _canonical(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        begin = "{"
        for key in sorted(value):
            yield f"{begin}{_ENCODER.encode(key)}:"
            yield from _canonical(value[key])
            begin = ","
        yield "{}" if begin == "{" else "}"
    elif isinstance(value, list | tuple) and not is_plain(value):
        begin = "["
        for part in value:
            yield begin
            yield from _canonical(part)
            begin = ","
        yield "]"
    else:
        yield _ENCODER.encode(value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
