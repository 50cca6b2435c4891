"""For operators and their programs: is it there, is it ready, what is it doing; and text to ids and back."""

from fastapi import APIRouter, Request, Response

from gadfly.server.refusals import json_response
from gadfly.server.service import service_of

__all__ = ["routes"]

routes = APIRouter(tags=["Operations"])


@routes.head("/", include_in_schema=False)
async def alive(_: Request) -> Response:
    """What Ollama's command asks first."""
    return Response()


@routes.get("/health/live")
async def live(_: Request) -> Response:
    """The process answers."""
    return json_response({"status": "live"})


@routes.get("/health/ready")
async def ready(request: Request) -> Response:
    """Whether the models that were named at the start are loaded; until then 503, with how far they have come."""
    models = service_of(request).models
    loading = [{"model": each.model.name, "state": each.text, "done": each.done} for each in models.loading]
    loaded = [found.name for found in models.loaded]
    status = "ready" if models.ready else "loading"
    return json_response(
        {"status": status, "loaded": loaded, "loading": loading},
        200 if models.ready else 503,
        {} if models.ready else {"retry-after": "1"},
    )


@routes.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counts, in Prometheus' text format."""
    found = service_of(request).metrics
    return Response(found.text(), media_type=found.content_type)
