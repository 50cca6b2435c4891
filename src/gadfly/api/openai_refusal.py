"""What an engine elsewhere says of a request that it does not answer, as an error of ours: the opposite of `errors`."""

from typing import Any

from gadfly.errors import BusyError, CapacityError, ContextError, GadflyError, NotFoundError, RequestError

__all__ = ["error_text", "refusal"]


def refusal(status: int, error: Any, retry_after: str = "") -> GadflyError:
    """`error` is what the body has under that name, or the body if it is no JSON; `retry_after` is the header."""
    message = error_text(error)
    code, parameter = (error.get(key) if isinstance(error, dict) else None for key in ("code", "param"))
    if status == 400:
        return (ContextError if code == "context_length_exceeded" else RequestError)(message, parameter)
    if status == 404:
        return NotFoundError(message)
    if status == 429:
        return BusyError(message, float(retry_after) if retry_after.isdigit() else 1.0)
    return CapacityError(f"the upstream refused with {status}: {message}")


def error_text(error: Any) -> str:
    """The message of an error, whatever it is."""
    return str(error.get("message") if isinstance(error, dict) else error)[:1000]
