"""The JSON object in the body of a request: as much of it, and as deep, as the limits allow."""

from typing import Any

import orjson
from starlette.requests import Request

from gadfly.errors import RequestError
from gadfly.server.limits import Limits
from gadfly.server.refusals import Refused

__all__ = ["is_nested_deeper", "parse_body", "read_body", "read_bytes"]


async def read_body(request: Request, limits: Limits) -> dict[str, Any]:
    """What was sent, whatever its content type says. Raises RequestError, or Refused if it is too much."""
    return parse_body(await read_bytes(request, limits.body), limits.nesting)


async def read_bytes(request: Request, most: int) -> bytes:
    """What was sent, as it is. Raises Refused if it is more than `most` bytes."""
    size = request.headers.get("content-length", "")
    body = bytearray()
    if size.isdigit() and int(size) > most:
        raise _too_large(most)
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def parse_body(body: bytes, nesting: int) -> dict[str, Any]:
    """Raises RequestError unless it is a JSON object in UTF-8 that is nested no deeper than `nesting`."""
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise RequestError(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError("the body is JSON, but no object")
    if is_nested_deeper(value, nesting):
        raise RequestError(f"the body has more than {nesting} lists and objects inside each other")
    return value


def is_nested_deeper(value: object, limit: int) -> bool:
    """Whether more than `limit` lists and objects lie inside each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        inner = (item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer))
        level = [item for item in inner if isinstance(item, dict | list)]
    return bool(level)


def _too_large(most: int) -> Refused:
    return Refused("too_large", f"the body is larger than {most} bytes", {"connection": "close"})
