"""Messages that did not arrive, for the people who can put them right: what was given up and why, and sending it again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from decisioning.errors import NotFound
from ledger.outbox import DEAD, Outbox, Sending


class DeadLetters:
    """The outbox as whoever looks after it sees it.

    Parameters
    ----------
    outbox : Outbox
    address : callable
        Where messages go, as the catalogue of now says; None where they go nowhere.
    clock : callable
    """

    def __init__(self, outbox: Outbox, address: Callable[[], str | None], clock: Callable[[], datetime]) -> None:
        self._outbox = outbox
        self._address = address
        self._clock = clock

    def standing(self, limit: int) -> dict[str, Any]:
        """{host, counts: {waiting, delivered, dead}, dead: the newest dead letters}.

        Raises
        ------
        Unavailable
            The ledger does not answer.
        """
        counts = self._outbox.counts()
        dead = self._outbox.listed(state=DEAD, limit=limit) if counts[DEAD] else []
        address = self._address()
        # The host alone: the rest of an address may hold what only the receiver should know.
        return {"host": address and urlsplit(address).hostname, "counts": counts, "dead": [_letter(one) for one in dead]}

    def resend(self, message_id: str | None) -> int:
        """Put a message, or with None every dead letter, back to be sent under the same id; returns how many.

        Raises
        ------
        NotFound
            No such message was delivered or given up.
        """
        count = self._outbox.resend(self._clock(), message_id)
        if message_id is not None and not count:
            raise NotFound("no such message was delivered or given up", field="message_id", got=message_id)
        return count


def _letter(one: Sending) -> dict[str, Any]:
    return {
        "message_id": one.message.message_id,
        "contact_id": one.message.contact_id,
        "created_at": one.message.created_at,
        "given_up_at": one.settled_at,
        "attempts": one.attempts,
        "problem": one.problem,
    }
