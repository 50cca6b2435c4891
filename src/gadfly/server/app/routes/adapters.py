"""The shelf of adapters: what each was made for and from, and letting go of the user's own."""

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from gadfly.chat.character import Character
from gadfly.errors import GadflyError
from gadfly.hub.adapters import remove_adapter, shelved_adapters
from gadfly.hub.disk import size_of
from gadfly.server.app.chat_app import chat_app_of, require_scope
from gadfly.server.refusals import json_response
from gadfly.weights.adapter import base_of, read_facts

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/adapters", tags=["App"])


@routes.get("")
async def adapters(request: Request) -> Response:
    """All that are here. Which of them stand beside a model that is loaded, the list of models says."""
    home = chat_app_of(request).home
    rows = await asyncio.to_thread(lambda: [_row(*one, home) for one in shelved_adapters(home).items()])
    return json_response({"adapters": rows})


@routes.delete("/{name}")
async def remove(request: Request, name: str) -> Response:
    """Delete one of the user's own. Models that are loaded keep what they have of it."""
    require_scope(request, "models")
    app = chat_app_of(request)
    await asyncio.to_thread(remove_adapter, name, app.home)
    app.feeds.tell(None, "models", {})
    return json_response({})


def _row(name: str, path: Path, home: Path) -> dict[str, Any]:
    """`persona` is whom it plays; `dial` says that wit makes it stronger, `error` that it cannot be read."""
    row: dict[str, Any] = {"name": name, "own": path.parent == home / "adapters"}
    row |= {"bytes": size_of(path), "created": path.stat().st_mtime}
    try:
        facts, base = read_facts(path), base_of(path)
        character = Character.of(facts, str(path))
    except GadflyError as error:
        return {**row, "base": None, "error": str(error)}
    known = {key: facts.get(key) for key in ("method", "samples", "steps")}
    return {**row, **known, "base": base, "persona": character and character.persona, "dial": character is not None}
