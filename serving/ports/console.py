"""What the console needs to know beyond the verbs of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from decisioning.errors import Unavailable


class ConsoleDesk(Protocol):
    """The workspace as the console looks at it; every verb may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The workspace's name."""

    def contacts_like(self, text: str, limit: int) -> list[str]:
        """Known contacts whose id begins with `text`, or else holds it, in alphabetical order."""

    def freshness(self) -> dict[str, Any] | None:
        """{as_of, contacts, days}: how new the features of real time are; None where none were ever materialised."""

    def evaluation(self) -> dict[str, Any]:
        """What `nudge evaluate --json` prints: policies by value, challengers with the gate's verdict, what is watched."""

    def pictures(self, model: str, version: int) -> list[str]:
        """The names of the pictures that were published beside a version."""

    def picture(self, model: str, version: int, name: str) -> bytes | None:
        """A picture that was published beside a version, as PNG; None where there is none."""

    def what_if(self, limits: Mapping[str, float], contacts: int) -> dict[str, Any]:
        """{now, then}: the plan as its manifest says it, under the limits as they are and under others (a `max` by constraint), estimated
        for everybody from so many contacts; each as if it took the place of every plan before. Nothing is kept.
        """

    def change_limits(self, limits: Mapping[str, float]) -> None:
        """Give constraints of catalog.yaml another `max`; nothing else in the file changes.

        Raises
        ------
        RequestError
            There is no such limit, or its number is not written in the file.
        """


class NoConsole:
    """Where no workspace is known: what can be shown without one is shown."""

    name = "nudge"

    def contacts_like(self, text: str, limit: int) -> list[str]:
        """Nobody."""
        del text, limit
        return []

    def freshness(self) -> dict[str, Any] | None:
        """Unknown."""
        return None

    def evaluation(self) -> dict[str, Any]:
        """Refuse."""
        raise Unavailable("there is no workspace to evaluate here", hint="use nudge evaluate")

    def pictures(self, model: str, version: int) -> list[str]:
        """None."""
        del model, version
        return []

    def picture(self, model: str, version: int, name: str) -> bytes | None:
        """None."""
        del model, version, name
        return None

    def what_if(self, limits: Mapping[str, float], contacts: int) -> dict[str, Any]:
        """Refuse."""
        raise Unavailable(f"there are no {contacts:,} contacts to plan for here", hint="use nudge plan --limit", got=", ".join(limits))

    def change_limits(self, limits: Mapping[str, float]) -> None:
        """Refuse."""
        raise Unavailable("there is no catalogue to change here", hint="change catalog.yaml", got=", ".join(limits))
