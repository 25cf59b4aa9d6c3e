"""The routes about models: which serve, which would like to, and how that is changed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import SkipValidation

from serving.routes.decisions import PathId, Serving, json_or_nothing
from serving.schemas.models import ModelList, Promoted, PromotionIn, RollbackIn
from serving.schemas.validation import read

OnePromotion = Annotated[SkipValidation[PromotionIn | None], Body()]
OneRollback = Annotated[SkipValidation[RollbackIn | None], Body()]

router = APIRouter()


@router.get("/v1/models", response_model=ModelList)
def models(service: Serving) -> Any:
    """Show every registered model: its champion, its challenger, and why they are."""
    return service.models.listed()


@router.post("/v1/models/{name}:promote", response_model=Promoted, dependencies=[Depends(json_or_nothing)])
def promote(service: Serving, name: PathId, body: OnePromotion = None) -> Any:
    """Ask the promotion gate; a refusal is an answer too: `promoted` is false, and `reason` says what is missing."""
    asked = read(PromotionIn, {} if body is None else body)
    return service.models.promote(name, version=asked.version, force=asked.force, why=asked.why)


@router.post("/v1/models/{name}:rollback", response_model=Promoted, dependencies=[Depends(json_or_nothing)])
def rollback(service: Serving, name: PathId, body: OneRollback = None) -> Any:
    """Make the previous champion the champion again."""
    return service.models.rollback(name, why=read(RollbackIn, {} if body is None else body).why)
