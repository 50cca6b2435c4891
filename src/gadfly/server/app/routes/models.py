"""Models: what is here, what could be, whether it would run; fetching, loading and letting go."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from gadfly.api.model_card import ModelCard
from gadfly.errors import NotFoundError
from gadfly.hub.catalogue import Catalogue, Model
from gadfly.hub.library import Library
from gadfly.hub.progress import Progress
from gadfly.hub.pull import Network, pull
from gadfly.server.app.chat_app import ChatApp, chat_app_of, require_scope
from gadfly.server.refusals import Refused, json_response
from gadfly.server.service import Service, service_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/models", tags=["App"])


@routes.get("")
async def models(request: Request) -> Response:
    """Those that can be asked, and those of the catalogue."""
    service, app = service_of(request), chat_app_of(request)
    stocked = await service.models.stocked()
    fits = await asyncio.to_thread(app.fits.judge, list(stocked))
    settings = await asyncio.to_thread(app.settings)
    default = settings.model if settings.model in stocked else service.default_model
    catalogue, states = Catalogue.load(), _states(service)
    names = [*stocked, *(name for name in {**catalogue, **app.pulls.states()} if name not in stocked)]
    rows = [_row(name, stocked.get(name), catalogue.get(name), fits.get(name), app) for name in names]
    return json_response(
        {"models": [{**row, **states.get(row["name"], {}), "default": row["name"] == default} for row in rows]}
    )


@routes.post("/{name:path}/pull")
async def fetch(request: Request, name: str) -> Response:
    """Bring one here; `events` tell how far it is, and it goes on when the page is closed."""
    require_scope(request, "models")
    service, app, library = service_of(request), chat_app_of(request), _library(request)
    network = Network.from_environment(offline=service.offline)

    async def work(progress: Progress) -> None:
        await service.with_files(lambda: pull(name, library, network, progress, trusted=False))

    return json_response({"pull": app.pulls.begin(name, work)}, 202)


@routes.delete("/{name:path}/pull")
async def stop(request: Request, name: str) -> Response:
    """Stop that; what has arrived is kept for the next time."""
    require_scope(request, "models")
    chat_app_of(request).pulls.stop(name)
    return json_response({})


@routes.post("/{name:path}/load")
async def load(request: Request, name: str) -> Response:
    """Load one, and answer when it is there."""
    service = service_of(request)
    async with service.models.use(name) as loaded:
        return json_response({"name": loaded.name})
    raise AssertionError  # nothing above swallows an exception


@routes.post("/{name:path}/unload")
async def unload(request: Request, name: str) -> Response:
    """Let one go, unless it is in use."""
    require_scope(request, "models")
    models = service_of(request).models
    name = await models.named(name)
    if name in models.pinned:
        raise Refused("invalid", f"{name} was named when the server was started, so it stays loaded")
    await models.forget(name)
    return json_response({"name": name})


@routes.delete("/{name:path}")
async def remove(request: Request, name: str) -> Response:
    """Delete one from this machine."""
    require_scope(request, "models")
    service, library = service_of(request), _library(request)
    await service.models.forget(name)
    await service.with_files(lambda: library.remove(name))
    chat_app_of(request).feeds.tell(None, "models", {})
    return json_response({})


def _row(
    name: str, card: ModelCard | None, known: Model | None, fit: Mapping[str, Any] | None, app: ChatApp
) -> dict[str, Any]:
    return {
        "name": name,
        "title": known.description if known else name,
        "family": known.family if known else card.family if card else "",
        "licence": card.licence if card and card.licence else known.licence if known else "",
        "free": known.free if known else None,
        "languages": known.languages if known else (),
        "parameters": known.parameters if known else card.parameters if card else 0,
        "bytes": (card.size if card else None) or (known.size if known else None),
        "here": card is not None,
        "elsewhere": card is not None and not card.size,  # with an upstream
        "pullable": card is None and known is not None and known.status == "runs" and bool(known.files),
        "context": (card.context if card else 0) or (known.context if known else 0),
        "fit": fit,
        "pull": app.pulls.states().get(name),
        "loaded": False,
        "loading": None,
    }


def _states(service: Service) -> dict[str, dict[str, Any]]:
    """What is known of those that are loaded, or about to be."""
    found: dict[str, dict[str, Any]] = {}
    for loading in service.models.loading:
        found[loading.model.name] = {"loading": {"done": loading.done, "text": loading.text}}
    for loaded in service.models.loaded:
        stays = loaded.name in service.models.pinned
        found[loaded.name] = {"loaded": True, "context": loaded.llm.context, "stays": stays, "users": loaded.users}
        found[loaded.name]["adapters"] = loaded.llm.adapters.names
    return found


def _library(request: Request) -> Library:
    library = service_of(request).library
    if library is None:
        raise NotFoundError("this server has no library of its own")
    return library
