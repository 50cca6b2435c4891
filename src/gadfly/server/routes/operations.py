"""For operators and their programs: is it there, is it ready, what is it doing; and text to ids and back."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.api.tokenize import detokenized, read_detokenize, read_tokenize, tokenized, tokenizer_info
from gadfly.errors import RequestError, UnsupportedError
from gadfly.server.model import Model
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.text import Tokenizer

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


@routes.post("/tokenize", openapi_extra=body("/tokenize"))
async def tokenize(request: Request) -> Response:
    """The ids of a text, or those that a conversation begins with."""
    call, service = read_tokenize(await body_of(request)), service_of(request)
    async with service.models.use(service.model_name(call.model)) as loaded:
        llm, tokenizer, source = loaded.llm, _tokenizer(loaded.llm), call.source
        if isinstance(source, str):
            ids = await asyncio.to_thread(tokenizer.encode, source, call.special, call.bos and tokenizer.adds_bos)
        else:
            ids = await asyncio.to_thread(llm.prompt_ids, source.messages, source.tools)
        pieces = [tokenizer.token_text(token) for token in ids] if call.pieces else None
        return json_response(tokenized(ids, llm.context, pieces))


@routes.get("/tokenizer_info")
async def info(request: Request, model: str | None = None) -> Response:
    """What a client has to know of a model's tokenizer to use the two beside it."""
    service = service_of(request)
    async with service.models.use(service.model_name(model)) as loaded:
        llm, tokenizer = loaded.llm, _tokenizer(loaded.llm)
        bos, eos = (None if id_ is None else tokenizer.token_text(id_) for id_ in (tokenizer.bos, tokenizer.eos))
        template = llm.template.source if llm.template else None
        return json_response(tokenizer_info(bos, eos, template, llm.context))


@routes.post("/detokenize", openapi_extra=body("/detokenize"))
async def detokenize(request: Request) -> Response:
    """The text of ids."""
    call, service = read_detokenize(await body_of(request)), service_of(request)
    async with service.models.use(service.model_name(call.model)) as loaded:
        tokenizer, spec = _tokenizer(loaded.llm), loaded.llm.spec
        strange = [token for token in call.ids if spec is None or token >= spec.vocab]
        if strange and spec is not None:
            raise RequestError(f"tokens has {strange[0]}; ids of this model are below {spec.vocab}", "tokens")
        text = await asyncio.to_thread(tokenizer.decode, call.ids)
        return json_response(detokenized(text))


def _tokenizer(llm: Model) -> Tokenizer:
    if llm.tokenizer is None:
        raise UnsupportedError("this model has no tokenizer; ids are all it takes")
    return llm.tokenizer
