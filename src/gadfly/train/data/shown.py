"""What is trained, token by token, as the model sees it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gadfly.answer import Prompts
from gadfly.errors import UnsupportedError
from gadfly.text import Decoder, Tokenizer
from gadfly.train.data.native import Native, answers_of
from gadfly.train.data.sample import sample
from gadfly.train.data.texts import Document, pieces

__all__ = ["Shown", "ShownToken", "shown"]


@dataclass(frozen=True)
class ShownToken:
    """`text` of a token of text that is only part of a character is empty, and the last part has all of it."""

    id: int
    text: str
    learnt: bool
    control: bool


@dataclass(frozen=True)
class Shown:
    """A sequence that a model is trained on. `cut` of its tokens are beyond what is read."""

    line: int
    what: str
    tokens: tuple[ShownToken, ...]
    cut: int


def shown(native: Native, prompts: Prompts, longest: int) -> Iterator[Shown]:
    """A conversation, both answers of a preference, or a text.

    Raises RequestError if nothing of it would be learnt, UnsupportedError for a model without tokenizer or template.
    """
    tokenizer = prompts.tokenizer
    if tokenizer is None:
        raise UnsupportedError(f"{prompts.name} has no tokenizer, so it sees no text")
    if isinstance(native, Document):
        for piece in pieces(native, prompts, longest):
            yield Shown(native.line, "text", _tokens(tokenizer, piece.ids.tolist(), piece.learnt.tolist()), 0)
        return
    answers = answers_of(native)
    names = ("chosen", "rejected") if len(answers) == 2 else (type(native).__name__.lower(),)
    for what, lesson in zip(names, answers, strict=True):
        one = sample(lesson, prompts, longest)
        whole = len(prompts.answered_ids(lesson.messages))
        yield Shown(native.line, what, _tokens(tokenizer, one.ids.tolist(), one.learnt.tolist()), whole - len(one))


def _tokens(tokenizer: Tokenizer, ids: list[int], learnt: list[bool]) -> tuple[ShownToken, ...]:
    controls = set(tokenizer.controls.values())
    decoder = Decoder(tokenizer, begun=True)
    found: list[ShownToken] = []
    for token, wanted in zip(ids, learnt, strict=False):
        if token not in controls:
            found.append(ShownToken(token, decoder.push(token), wanted, False))
            continue
        if rest := decoder.flush():
            found[-1] = replace(found[-1], text=found[-1].text + rest)
        found.append(ShownToken(token, tokenizer.token_text(token), wanted, True))
    return tuple(found)
