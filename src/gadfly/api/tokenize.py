"""/tokenize and /detokenize, which several engines have: text or a conversation to ids, and ids to text.

vLLM asks for `prompt` or `messages` and gets `tokens`, `count` and `max_model_len`; llama.cpp asks for `content` and
gets `tokens`. Both are understood and both are served at once. Text that spells out a control token becomes it, as with
both: clients ask for the ids of those that /tokenizer_info names. Nothing here is a prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.api.fields import Fields
from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_completions import read_ids
from gadfly.conversation import ChatRequest

__all__ = [
    "DetokenizeCall",
    "TokenizeCall",
    "detokenized",
    "read_detokenize",
    "read_tokenize",
    "tokenized",
    "tokenizer_info",
]


@dataclass(frozen=True)
class TokenizeCall:
    """Text, or a conversation that goes through the model's template. `bos`: whether ids begin as a prompt does.

    With `special`, text may become control tokens. `pieces` asks for the text of each token.
    """

    model: str | None
    source: str | ChatRequest
    bos: bool = True
    special: bool = True
    pieces: bool = False


@dataclass(frozen=True)
class DetokenizeCall:
    """Ids to be written as text."""

    model: str | None
    ids: tuple[int, ...]


def read_tokenize(body: object) -> TokenizeCall:
    """Raises RequestError naming the field."""
    fields = Fields(body)
    model = fields.text("model")
    pieces = fields.flag("return_token_strs") or fields.flag("with_pieces")
    if "messages" in fields:
        return TokenizeCall(model, read_chat(body).request, pieces=pieces)
    special = fields.flag("parse_special", True)
    if "content" in fields:
        return TokenizeCall(model, fields.text("content", ""), fields.flag("add_special"), special, pieces)
    if "prompt" not in fields:
        raise fields.wrong("prompt", "a text, unless there are messages")
    return TokenizeCall(model, fields.text("prompt", ""), fields.flag("add_special_tokens", True), special, pieces)


def tokenized(ids: Sequence[int], context: int, pieces: Sequence[str] | None = None) -> dict[str, Any]:
    """The body; `context` is how many tokens the model takes, `pieces` the text of each of the ids if asked for."""
    strings = {} if pieces is None else {"token_strs": list(pieces)}
    return {"count": len(ids), "max_model_len": context, "tokens": list(ids), **strings}


def read_detokenize(body: object) -> DetokenizeCall:
    """Raises RequestError naming the field."""
    fields = Fields(body)
    if fields["tokens"] == []:
        return DetokenizeCall(fields.text("model"), ())
    return DetokenizeCall(fields.text("model"), read_ids(fields["tokens"], "tokens"))


def tokenizer_info(bos: str | None, eos: str | None, template: str | None, context: int) -> dict[str, Any]:
    """What vLLM tells of a tokenizer at /tokenizer_info, as far as anybody reads it: lm-eval does."""
    return {
        "tokenizer_class": "gadfly",
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": None,
        "chat_template": template,
        "model_max_length": context,
    }


def detokenized(text: str) -> dict[str, Any]:
    """The body, in the words of both engines."""
    return {"prompt": text, "content": text}
