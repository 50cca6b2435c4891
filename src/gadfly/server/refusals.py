"""What a client is told whose request cannot be answered, in the dialect of the path that it asked.

What an exception means is known to `gadfly.api.errors`. Here is what only HTTP knows: who may not come in, what is too
large, which headers belong to it.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import orjson
from starlette.responses import Response

from gadfly.api.errors import Failure, FailureKind, anthropic_error, failure_of, ollama_error, openai_error
from gadfly.errors import GadflyError

__all__ = ["CLIENT_LEFT", "Dialect", "Refused", "dialect_of", "error_body", "json_response", "refusal"]

Dialect = Literal["openai", "anthropic", "ollama", "app"]

CLIENT_LEFT = 499  # as nginx writes it: nobody gets to see it


class Refused(GadflyError):
    """A request that HTTP alone is enough to refuse. `status` differs from the kind's where HTTP has a closer one."""

    def __init__(
        self, kind: FailureKind, message: str, headers: Mapping[str, str] | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message)
        self.headers = dict(headers or {})
        self.status = status or self.failure.status


def dialect_of(path: str) -> Dialect:
    """Whose clients ask there."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.startswith("/app/"):
        return "app"
    return "ollama" if path.startswith("/api/") else "openai"


def error_body(error: Exception, dialect: Dialect, request_id: str) -> dict[str, Any]:
    """The body of a refusal, and the event of a stream that cannot go on."""
    failure = error.failure if isinstance(error, Refused) else failure_of(error)
    match dialect:
        case "anthropic":
            return anthropic_error(failure, request_id)
        case "ollama":
            return ollama_error(failure)
        case "app":
            return {"error": {"kind": failure.kind, "message": failure.message}}
    return openai_error(failure)


def refusal(error: Exception, path: str, request_id: str) -> Response:
    """The answer to a request of this path that failed before anything was sent."""
    body = error_body(error, dialect_of(path), request_id)
    if isinstance(error, Refused):
        return json_response(body, error.status, error.headers)
    failure = failure_of(error)
    wait = {} if failure.retry_after is None else {"retry-after": str(math.ceil(failure.retry_after))}
    return json_response(body, failure.status, wait)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")
