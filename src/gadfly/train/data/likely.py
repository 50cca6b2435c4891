"""What a teacher could have said instead: of every token of an answer the likeliest ones, with their log-probabilities.

In a line of data, beside the text of the message, where a token that is no text of its own is a list of its bytes:

    {"role": "assistant", "content": "Rain.",
     "likely": [["Rain", [["Rain", -0.1], ["It", -2.4]]], [".", [[".", -0.3], ["!", -1.4]]]]}

From a server, as OpenAI's API has them. Either is untrusted. Which tokens of a model these are: `alphabet` beside this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.lines import kind_of

__all__ = ["MOST", "Choice", "choices_of", "choices_said", "written"]

MOST = 20  # of a token, as OpenAI's API allows
LONGEST = 100_000  # tokens


@dataclass(frozen=True)
class Choice:
    """The bytes of a token that was said, and of the likeliest, each with its natural log-probability."""

    said: bytes
    likely: tuple[tuple[bytes, float], ...]


def choices_of(given: Any, name: str) -> tuple[Choice, ...]:
    """From a line. Raises ValueError saying what is wrong with what errors call `name`."""
    if not isinstance(given, list) or not 1 <= len(given) <= LONGEST:
        raise ValueError(f"{name} is {kind_of(given)}; expected a list, an entry for each token of the answer")
    try:
        return tuple(Choice(_bytes(said), _likely(others)) for said, others in given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} is not made of tokens and the likeliest instead: {error}; write it with gadfly data synth"
        ) from None


def choices_said(choice: Any) -> tuple[Choice, ...]:
    """Of an answer of OpenAI's API. Raises ValueError if it has none, or what it has is something else."""
    try:
        content = choice["logprobs"]["content"]
        return tuple(
            Choice(_bytes(_token(one)), _likely([[_token(other), other["logprob"]] for other in one["top_logprobs"]]))
            for one in content
        )
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it says nothing of what else was likely") from None


def written(choices: Sequence[Choice]) -> list[Any]:
    """As a line has them."""
    return [[_word(one.said), [[_word(other), round(logprob, 4)] for other, logprob in one.likely]] for one in choices]


def _likely(given: Any) -> tuple[tuple[bytes, float], ...]:
    if not isinstance(given, list) or len(given) > MOST:
        raise ValueError(f"{kind_of(given)} in place of up to {MOST} tokens")
    return tuple((_bytes(token), _logprob(value)) for token, value in given)


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 1e-3:
        raise ValueError(f"{value!r:.40} is no log-probability")
    return float(max(value, -1e4))  # integers may be larger than floats


def _token(item: Any) -> Any:
    """Bytes are what counts; a server may leave them out where they are those of the text."""
    return item["token"] if item.get("bytes") is None else item["bytes"]


def _bytes(token: Any) -> bytes:
    if isinstance(token, bytes):
        return token
    if isinstance(token, str):
        return token.encode(errors="surrogatepass")
    if isinstance(token, list) and all(isinstance(one, int) for one in token):
        return bytes(token)
    raise ValueError(f"{kind_of(token)} in place of a token")


def _word(data: bytes) -> str | list[int]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)
