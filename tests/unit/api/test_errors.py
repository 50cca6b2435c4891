"""Which status and which words a client gets for what went wrong."""

import pytest

from gadfly.api.errors import Failure, anthropic_error, failure_of, ollama_error, openai_error
from gadfly.errors import (
    BusyError,
    CapacityError,
    ContextError,
    DeadlineError,
    ModelFileError,
    NotFoundError,
    RequestError,
    TemplateError,
    UnsupportedError,
)


@pytest.mark.parametrize(
    ("error", "status", "openai", "code", "anthropic"),
    [
        (RequestError("n is 99", "n"), 400, "invalid_request_error", "invalid_value", "invalid_request_error"),
        (TemplateError("roles"), 400, "invalid_request_error", "unsupported", "invalid_request_error"),
        (UnsupportedError("no tokenizer"), 400, "invalid_request_error", "unsupported", "invalid_request_error"),
        (NotFoundError("no x"), 404, "not_found_error", "not_found", "not_found_error"),
        (BusyError("full", 2.5), 429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
        (CapacityError("no pages"), 503, "server_error", "overloaded", "overloaded_error"),
        (DeadlineError("60 s"), 504, "server_error", "timeout", "timeout_error"),
        (ModelFileError("damaged"), 500, "server_error", None, "api_error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_for_people(error: Exception, status: int, openai: str, code: str | None, anthropic: str) -> None:
    failure = failure_of(error)
    assert failure.status == status
    param = "n" if "n is" in str(error) else None
    assert openai_error(failure) == {"error": {"message": str(error), "type": openai, "param": param, "code": code}}
    assert anthropic_error(failure, "req_1") == {
        "type": "error",
        "error": {"type": anthropic, "message": str(error)},
        "request_id": "req_1",
    }
    assert ollama_error(failure) == {"error": str(error)}


def test_a_prompt_too_long_is_told_in_words_that_programs_look_for() -> None:
    failure = failure_of(ContextError("9 of 8", "messages"))
    assert failure == Failure("invalid", "prompt is too long: 9 of 8", "context_length_exceeded", "messages")


def test_those_who_may_come_back_are_told_when() -> None:
    assert failure_of(BusyError("full", 2.5)).retry_after == 2.5
    assert failure_of(CapacityError("full")).retry_after == 1.0
    assert failure_of(RequestError("wrong")).retry_after is None


def test_a_bug_does_not_show_its_text() -> None:
    failure = failure_of(KeyError("/secret/path"))
    assert failure.status == 500 and "secret" not in failure.message


def test_what_only_a_server_knows() -> None:
    assert [Failure(kind, "").status for kind in ("unauthorised", "forbidden", "too_large", "too_slow")] == [
        401,
        403,
        413,
        504,
    ]
