"""What is kept of how an answer came about, for whoever wants to look inside: its tokens, and the prompt.

{
  "start": 12,                                    the answer had so many characters already
  "tokens": [["The", -0.1, [["The", -0.1], ["A", -2.3]]]],    text, log probability, the likeliest instead
  "prompt": [["<|im_start|>", 1], ["user\nHi", 0]],           text in runs; 1: a control token
  "experts": [[3, 0, 9, 0]]                       tokens that each expert of each layer was given, prompt included
}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gadfly.api.answer import Answer
from gadfly.conversation import TokenLogprob
from gadfly.server.app.job import Order
from gadfly.text import Decoder, Tokenizer

__all__ = ["trace_of"]


def trace_of(
    answer: Answer,
    prompt: Sequence[int],
    tokenizer: Tokenizer | None,
    experts: Sequence[Sequence[int]] | None,
    order: Order,
) -> dict[str, Any]:
    """Of an answer that was given to `prompt`; an answer that was continued has the tokens of both parts."""
    before: Mapping[str, Any] = order.before or {"tokens": [], "start": len(order.text)}
    return {
        "start": before["start"],
        "tokens": [*before["tokens"], *map(_token, answer.logprobs)],
        "prompt": _runs(prompt, tokenizer) if tokenizer else [],
        "experts": experts,
    }


def _token(one: TokenLogprob) -> list[Any]:
    return [one.text, _round(one.logprob), [[other.text, _round(other.logprob)] for other in one.top]]


def _round(logprob: float | None) -> float | None:
    return None if logprob is None else round(logprob, 4)


def _runs(ids: Sequence[int], tokenizer: Tokenizer) -> list[tuple[str, int]]:
    controls = {token: text for text, token in dict(tokenizer.controls).items()}
    found: list[tuple[str, int]] = []
    decoder = Decoder(tokenizer, begun=True)
    text: list[str] = []

    def end_run() -> None:
        if run := "".join([*text, decoder.flush()]):
            found.append((run, 0))
        text.clear()

    for token in ids:
        if token in controls:
            end_run()
            found.append((controls[token], 1))
        else:
            text.append(decoder.push(token))
    end_run()
    return found
