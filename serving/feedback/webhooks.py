"""Messages of the outbox delivered to the workspace's webhook: signed, retried with backoff, given up after so many attempts.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com): `webhook-id` stays the same over all attempts, so
that a receiver can tell a repeat; `webhook-signature` is an HMAC-SHA256 over id, `webhook-timestamp` and body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx

from decisioning.errors import ConfigError
from ledger.outbox import Outbox, Sending

LOG = logging.getLogger(__name__)

MOST_ATTEMPTS = 16
"""Attempts before a message is a dead letter: about six hours."""

_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=2), timedelta(hours=1)
_TIMEOUT_SECONDS = 10.0
_LEASE = timedelta(seconds=60)  # longer than an attempt may take
_AT_ONCE = 8
_GONE = 410
_SHOWN_CHARACTERS = 200
_PREFIX = "whsec_"

Secrets = Sequence[bytes]


def read_secrets(text: str) -> Secrets:
    """The signing secrets in a text: `whsec_` and base64, or any other text as it is; several with blanks between them, the newest first.

    With two secrets a message carries two signatures, so that receivers can be moved from the old one to the new one.

    Raises
    ------
    ConfigError
        There is none, one is too short to protect anything, or what follows `whsec_` is not base64.

    Examples
    --------
    >>> read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whatever-was-used-until-now")[1]
    b'whatever-was-used-until-now'
    """
    found = [_secret(one) for one in text.split()]
    if not found or min(map(len, found)) < 16:
        allowed = "at least 16 bytes, best whsec_ and the base64 of 24 to 64 random bytes; blanks stand between several"
        raise ConfigError("is not a secret", field="NUDGE_WEBHOOK_SECRET", allowed=allowed)
    return found


def signature(secrets: Secrets, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one `v1,BASE64` a secret."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


class Sender:
    """Delivers what is due.

    Parameters
    ----------
    outbox : Outbox
    address : callable
        The webhook of the running catalogue; None where it has none: then everything waits.
    secrets : Secrets
        Without any nothing is sent.
    clock : callable
        Returns the present as an aware datetime.
    transport : httpx.BaseTransport, optional
        In place of the network, in tests.
    """

    def __init__(
        self,
        outbox: Outbox,
        address: Callable[[], str | None],
        secrets: Secrets,
        clock: Callable[[], datetime],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._outbox = outbox
        self._address = address
        self._secrets = secrets
        self._told = False
        self._clock = clock
        self._client = httpx.Client(timeout=_TIMEOUT_SECONDS, transport=transport)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="nudge-webhook")

    def deliver(self) -> int:
        """Try what is due, a few messages of different contacts at a time; returns how many were tried."""
        address = self._address()
        if address is None or not self._may_sign():
            return 0
        taken = self._outbox.take(self._clock(), lease=_LEASE, limit=_AT_ONCE)
        list(self._pool.map(lambda one: self._try(address, one), taken))
        return len(taken)

    def close(self) -> None:
        """End; attempts under way are waited for."""
        self._pool.shutdown()
        self._client.close()

    def _may_sign(self) -> bool:
        """Whether there is a secret; a catalogue that has got a webhook since the server started is told once that there is none."""
        if not self._secrets and not self._told:
            LOG.error("the catalogue has a webhook, and NUDGE_WEBHOOK_SECRET was not set when this server started: its messages wait")
            self._told = True
        return bool(self._secrets)

    def _try(self, address: str, sending: Sending) -> None:
        problem = self._send(address, sending)
        message_id, now = sending.message.message_id, self._clock()
        if problem is None:
            self._outbox.delivered(message_id, now)
        elif sending.attempts >= MOST_ATTEMPTS or problem == f"answered {_GONE}":
            LOG.error("the webhook message %s is a dead letter after %d attempts: %s", message_id, sending.attempts, problem)
            self._outbox.give_up(message_id, problem, now)
        else:
            LOG.warning("the webhook message %s did not arrive (attempt %d): %s", message_id, sending.attempts, problem)
            self._outbox.failed(message_id, problem, again_at=now + wait_after(sending.attempts, random.random()))

    def _send(self, address: str, sending: Sending) -> str | None:
        """What an attempt met; None where the message arrived."""
        message, timestamp = sending.message, int(self._clock().timestamp())
        body = message.body.encode()
        headers = {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secrets, message.message_id, timestamp, body),
        }
        try:
            answer = self._client.post(address, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]
        return None if answer.is_success else f"answered {answer.status_code}"


def wait_after(attempts: int, drawn: float) -> timedelta:
    """How long to wait after so many attempts: doubled each time, up to an hour, and half to one and a half times that as is `drawn`.

    Examples
    --------
    >>> [wait_after(attempts, 0.5).total_seconds() for attempts in (1, 2, 3, 20)]
    [2.0, 4.0, 8.0, 3600.0]
    """
    doubled = _FIRST_WAIT * 2 ** min(attempts - 1, 20)
    return min(doubled, _LONGEST_WAIT) * (0.5 + drawn)


def _secret(text: str) -> bytes:
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigError("what follows whsec_ is not base64", field="NUDGE_WEBHOOK_SECRET") from None
