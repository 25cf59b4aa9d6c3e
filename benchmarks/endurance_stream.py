"""Events and outcomes that stream in while decisions are asked for: every outcome that was acknowledged is noted."""

from __future__ import annotations

import random
import threading
import time
import uuid
from typing import Any

import httpx

_KINDS = ("login", "page_view", "card_payment")
SECONDS_BETWEEN = 0.05


class Stream:
    """A client that sees somebody, gets a decision, reports what came of it, and retries what was not acknowledged."""

    def __init__(self, address: str, *, contacts: int = 2_000, seed: int = 3) -> None:
        self._address = address
        self._contacts = contacts
        self._rng = random.Random(seed)
        self.acknowledged: list[str] = []
        self.events = 0
        self.failed = 0
        self.refused = 0

    def run(self, over: threading.Event) -> None:
        """Until it is over."""
        with httpx.Client(base_url=self._address, timeout=30.0) as client:
            while not over.wait(SECONDS_BETWEEN):
                self._once(client, f"c-{1 + self._rng.randrange(self._contacts):07d}")

    def _once(self, client: httpx.Client, contact_id: str) -> None:
        event = {"contact_id": contact_id, "event_id": str(uuid.uuid4()), "event_type": self._rng.choice(_KINDS), "value": None}
        if self._kept(client, "/v1/events", event) is not None:
            self.events += 1
        decided = self._kept(client, "/v1/decisions", {"contact_id": contact_id, "channel": "web", "placements": ["home_hero"]})
        if decided is None or not decided["actions"]:
            return
        chosen = decided["actions"][0]
        outcome = {"event_id": str(uuid.uuid4()), "decision_id": decided["decision_id"], "treatment_id": chosen["treatment_id"]}
        receipt = self._kept(client, "/v1/outcomes", {**outcome, "outcome": "click"})
        if receipt is not None and receipt["accepted"] + receipt["duplicates"] == 1:
            self.acknowledged.append(outcome["event_id"])

    def _kept(self, client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, asked for again where the server said to come back; None where it failed."""
        for _ in range(20):
            try:
                answer = client.post(path, json=body)
            except httpx.TransportError:
                self.failed += 1
                return None
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                self.refused += 1
                time.sleep(float(answer.headers.get("retry-after", "1")))
                continue
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                self.failed += 1
                return None
            found: dict[str, Any] = answer.json()
            return found if answer.is_success else None
        return None
