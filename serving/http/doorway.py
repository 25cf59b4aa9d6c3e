"""The server's protocol: whoever comes to a crowded desk is turned away before anything is set up for him.

What uvicorn makes of a request for an application (a scope, a channel, a task) costs more than saying no does, and in an overload most are
told no: what refusing takes is taken from those who are decided. So a refusal is written here, as the application would have written it.
Who is turned away is the application's to say, in the state of its lifespan; without that this is uvicorn's own protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Protocol, TypeAlias

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DOORKEEPER = "doorkeeper"
"""In the state of a lifespan: the `Doorkeeper`."""

LARGEST_BODY = 65_536
"""Bytes; who announces more, or does not say how much, is not turned away here."""

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


class Doorkeeper(Protocol):
    """Whom to turn away, and how."""

    def may_turn_away(self, method: bytes, target: bytes, headers: Headers) -> bool:
        """Whether a request would be refused now, unless its body says something else; the names of headers are in small letters."""
        ...

    def refusal(self, body: bytes) -> tuple[bytes, bytes] | None:
        """Status line and headers of the answer, each line with its end, and its body; None where the request goes on after all."""
        ...

    def turned_away(self, seconds: float) -> None:
        """Note one that was refused, and what that took."""
        ...

    def connected(self) -> None:
        """Note that somebody has come in."""
        ...


class Doorway(HttpToolsProtocol):
    """Uvicorn's protocol with httptools, which holds back whoever may be turned away until all of his request is there."""

    _held: bytearray | None = None
    _begun = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the class above
        """Take the connection."""
        super().connection_made(transport)
        keeper: Doorkeeper | None = self.app_state.get(DOORKEEPER)
        if keeper is not None:
            keeper.connected()

    def on_headers_complete(self) -> None:
        """Hold the request back, or hand it on."""
        self._unset_keepalive_if_required()  # set by a refusal that came with the same bytes
        keeper: Doorkeeper | None = self.app_state.get(DOORKEEPER)
        method = self.parser.get_method()
        if keeper is not None and keeper.may_turn_away(method, self.url, self.headers) and self._plain():
            self._held, self._begun = bytearray(), perf_counter()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep the body of what is held back."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """Refuse what was held back, or hand it on after all."""
        if self._held is not None:
            keeper: Doorkeeper = self.app_state[DOORKEEPER]
            answer = keeper.refusal(bytes(self._held))
            if answer is not None:
                self._held = None
                self._refuse(*answer)
                keeper.turned_away(perf_counter() - self._begun)
                return
            self._hand_on()
        super().on_message_complete()

    def shutdown(self) -> None:
        """Stop when what is under way is answered; what is held back is, too."""
        if self._held is not None:
            self._hand_on()
        super().shutdown()

    def _hand_on(self) -> None:
        held, self._held = self._held, None
        super().on_headers_complete()
        if held:
            super().on_body(bytes(held))

    def _refuse(self, head: bytes, body: bytes) -> None:
        own = b"".join([b"%s: %s\r\n" % header for header in self.server_state.default_headers])
        keep = self.parser.should_keep_alive()
        self.transport.write(b"".join((head, own, b"\r\n" if keep else b"connection: close\r\n\r\n", body)))
        if not keep:
            self.transport.close()
        self.on_response_complete()

    def _plain(self) -> bool:
        """Whether nothing else is under way here, the body will be small, and who asks reads answers and waits for nothing more."""
        announced = next((value for name, value in self.headers if name == b"content-length"), b"")
        return (
            announced.isdigit()
            and int(announced) <= LARGEST_BODY
            and not self.pipeline
            and getattr(self.cycle, "response_complete", True)  # there is none before the first
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and not self.access_log
        )
