"""What engines elsewhere say over HTTP, and what is wrong when they do not."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import orjson

from gadfly.api.model_card import ModelCard
from gadfly.api.openai_refusal import error_text, refusal
from gadfly.errors import CapacityError, GadflyError

__all__ = ["broken_off", "card_of", "chunk_of", "lines_of", "refusal_of", "unreachable"]


def card_of(written: Mapping[str, Any]) -> ModelCard:
    context = written.get("context_length") or written.get("max_model_len") or 0
    owner, licence = str(written.get("owned_by", "")), str(written.get("licence", ""))
    return ModelCard(str(written["id"]), float(written.get("created", 0)), owner, context=int(context), licence=licence)


async def lines_of(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """Those that end as lines do in HTTP; for httpx they end at U+2028, too, which may stand in JSON."""
    rest = b""
    async for piece in answer.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    yield rest


def chunk_of(text: bytes) -> Mapping[str, Any]:
    chunk = orjson.loads(text)
    if error := chunk.get("error"):
        raise CapacityError(f"the upstream failed: {error_text(error)}")
    assert isinstance(chunk, dict)
    return chunk


def refusal_of(answer: httpx2.Response) -> GadflyError:
    """Of a request that was read whole."""
    try:
        error = orjson.loads(answer.content)["error"]
    except (ValueError, KeyError, TypeError):
        error = answer.text
    return refusal(answer.status_code, error, answer.headers.get("retry-after", ""))


def broken_off(error: Exception) -> CapacityError:
    return CapacityError(f"the upstream broke off: {type(error).__name__}")


def unreachable(model: str) -> CapacityError:
    return CapacityError(f"no upstream that has {model} can be reached now")
