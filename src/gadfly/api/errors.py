"""What went wrong, for a client: a status and a body in its own dialect, or an event where a stream has begun.

`failure_of` makes a `Failure` of an exception. What only a server knows of (keys, limits of rate, bodies that are too
large) it makes Failures of itself. A bug never shows its text to a client.
"""

from dataclasses import dataclass
from typing import Any, Literal

from gadfly.errors import (
    BusyError,
    CapacityError,
    ContextError,
    DeadlineError,
    GadflyError,
    NotFoundError,
    RequestError,
    TemplateError,
    UnsupportedError,
)

__all__ = ["Failure", "FailureKind", "anthropic_error", "failure_of", "ollama_error", "openai_error"]

FailureKind = Literal[
    "invalid", "unauthorised", "forbidden", "missing", "too_large", "too_many", "busy", "too_slow", "internal"
]

# kind: status, type for OpenAI, type for Anthropic
_KINDS: dict[FailureKind, tuple[int, str, str]] = {
    "invalid": (400, "invalid_request_error", "invalid_request_error"),
    "unauthorised": (401, "authentication_error", "authentication_error"),
    "forbidden": (403, "permission_error", "permission_error"),
    "missing": (404, "not_found_error", "not_found_error"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "too_many": (429, "rate_limit_error", "rate_limit_error"),
    "busy": (503, "server_error", "overloaded_error"),
    "too_slow": (504, "server_error", "timeout_error"),
    "internal": (500, "server_error", "api_error"),
}


@dataclass(frozen=True)
class Failure:
    """`code` and `parameter` are OpenAI's; `retry_after` is in seconds and belongs into a header, rounded up."""

    kind: FailureKind
    message: str
    code: str | None = None
    parameter: str | None = None
    retry_after: float | None = None

    @property
    def status(self) -> int:
        """Of HTTP."""
        return _KINDS[self.kind][0]


def failure_of(error: Exception) -> Failure:
    """What an exception means to a client."""
    message = str(error)
    match error:
        case ContextError():  # LangChain and LiteLLM know it by Anthropic's words, and shorten or choose another model
            message = f"prompt is too long: {message}"
            return Failure("invalid", message, "context_length_exceeded", error.parameter)
        case RequestError():
            return Failure("invalid", message, "invalid_value", error.parameter)
        case NotFoundError():
            return Failure("missing", message, "not_found")
        case BusyError():
            return Failure("too_many", message, "rate_limit_exceeded", retry_after=error.retry_after)
        case CapacityError():
            return Failure("busy", message, "overloaded", retry_after=1.0)
        case DeadlineError():
            return Failure("too_slow", message, "timeout")
        case TemplateError() | UnsupportedError():  # of what this model cannot be asked
            return Failure("invalid", message, "unsupported")
        case GadflyError():
            return Failure("internal", message)
    return Failure("internal", "something went wrong in Gadfly, which its log tells more about; this is a bug")


def openai_error(failure: Failure) -> dict[str, Any]:
    """A body, and an event of a stream of chunks."""
    kind = _KINDS[failure.kind][1]
    return {"error": {"message": failure.message, "type": kind, "param": failure.parameter, "code": failure.code}}


def anthropic_error(failure: Failure, request_id: str | None = None) -> dict[str, Any]:
    """A body, and an event of a stream, of the type "error"."""
    error = {"type": _KINDS[failure.kind][2], "message": failure.message}
    return {"type": "error", "error": error, "request_id": request_id}


def ollama_error(failure: Failure) -> dict[str, Any]:
    """A body, and a line of a stream."""
    return {"error": failure.message}
