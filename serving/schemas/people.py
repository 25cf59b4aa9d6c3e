"""The JSON of what concerns one person: what is held, erased, consented to, and who a visitor became."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from serving.schemas.decisions import DataId, Id, Moment, TimeText, _In, _Out


class ConsentIn(_In):
    """What a contact says about a purpose."""

    status: Annotated[Literal["granted", "denied", "revoked"], Field(description="only `granted` lets a channel of this purpose be used")]
    changed_at: Annotated[Moment | None, Field(description="when it was said; left out: now")] = None
    source: Annotated[Id | None, Field(description="where it was said; kept as evidence")] = None


class ConsentOut(_Out):
    """The consent as it was kept, and whether it is the newest."""

    contact_id: str
    purpose: str
    status: str
    changed_at: TimeText
    holds: Annotated[bool, Field(description="false where the contact said something newer already, or will from a later time on")]


class IdentityIn(_In):
    """A visitor who turned out to be a contact."""

    anonymous_id: DataId
    contact_id: DataId


class IdentityOut(_Out):
    """What is the contact's from now on."""

    anonymous_id: str
    contact_id: str
    joined: Annotated[dict[str, Any], Field(description="rows by store")]
    again: Annotated[bool, Field(description="true where this visitor was joined to this contact before")]


class ErasureOut(_Out):
    """What was removed, or is nobody's now."""

    contact_id: str
    erased: Annotated[dict[str, Any], Field(description="by store")]
    tombstone: Annotated[str, Field(description="what stands in the contact's place")]
    left: Annotated[list[str], Field(description="what this service cannot reach")]


class ExportOut(_Out):
    """Everything held about a contact, by store."""

    contact_id: str
    ids: Annotated[list[str], Field(description="the contact's id and the anonymous ids that were joined to it")]
    exported_at: TimeText
