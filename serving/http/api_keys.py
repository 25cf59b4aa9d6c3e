"""API keys: how one is made and read, and the ring of those that hold, kept fresh while serving."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from decisioning.errors import NudgeError, RequestError, nearest
from ledger.keys import ApiKey
from serving.http.access import SCOPES

LOG = logging.getLogger(__name__)

PREFIX = "nudge"
"""Every key begins so: `nudge_ID_SECRET`, to be found by whoever searches a repository for keys."""

_ID_BYTES = 6
_SECRET_BYTES = 32
_NOBODY = bytes(32)


def new_key(name: str, scopes: Sequence[str], now: datetime, days: float | None = None) -> tuple[str, ApiKey]:
    """The text of a new key, which is nowhere else, and the key as it is kept.

    Raises
    ------
    RequestError
        A scope is not one of `SCOPES`, or there is none.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise RequestError("is no scope", field="--scope", got=scope, allowed=", ".join(SCOPES), hint=nearest(scope, SCOPES))
    if not scopes:
        raise RequestError("a key without a scope opens nothing", field="--scope", allowed=", ".join(SCOPES))
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    return text, ApiKey(key_id, name, ordered, digest_of(text), now, None if days is None else now + timedelta(days=days))


def digest_of(text: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(text.encode()).digest()


class KeyRing:
    """The keys of a workspace, read again every `poll_seconds`; where they cannot be read, those read last hold on.

    Parameters
    ----------
    read : callable
        Every key that was ever made.
    clock : callable
        Returns the present as an aware datetime.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[ApiKey]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        poll_seconds: float = 1.0,
    ) -> None:
        self._read = read
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._keys: dict[str, ApiKey] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.refresh()

    @property
    def empty(self) -> bool:
        """Whether no key was ever made; one that was revoked was."""
        return not self._keys

    def owner(self, text: str) -> ApiKey | None:
        """The key whose text this is, if it holds; the comparison takes as long whatever is wrong with it."""
        parts = text.split("_", 2)
        key = self._keys.get(parts[1]) if len(parts) == 3 else None
        same = hmac.compare_digest(digest_of(text), _NOBODY if key is None else key.digest)
        return key if same and key is not None and key.holds(self._clock()) else None

    def refresh(self) -> None:
        """Read the keys as they are now."""
        self._keys = {key.key_id: key for key in self._read()}

    def watch(self) -> None:
        """Begin to look for new and revoked keys."""
        self._thread = threading.Thread(target=self._run, name="nudge-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self.refresh()
            except NudgeError as error:
                LOG.warning("the API keys cannot be read, those read last hold on: %s", error)
