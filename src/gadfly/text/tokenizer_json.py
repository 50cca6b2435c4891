"""Hugging Face's tokenizer.json, as far as it describes byte-level byte-pair encoding.

What begins and ends a text is told by tokenizer_config.json next to it, where there is one. Other kinds of tokenizers
in this format come with a SentencePiece model, which is read by `gadfly.text.sentence_piece`.
Source: the serialised form of the `tokenizers` library.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tokenizers

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.added_tokens import LARGEST_ID, read_added_token
from gadfly.text.byte_pair import BytePair
from gadfly.text.vocabulary import CONTROL, NORMAL, UNUSED, USER_DEFINED, Vocabulary

__all__ = ["read_tokenizer_json", "steps", "token_text"]


def read_tokenizer_json(
    stated: Mapping[str, Any], config: Mapping[str, Any], ends: Iterable[int] = ()
) -> tuple[Vocabulary, BytePair]:
    """`config` is the content of tokenizer_config.json, or empty; `ends` are ids that end an answer.

    Raises ModelFileError.
    """
    try:
        return _read(stated, config, ends)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"not a sound tokenizer.json: {type(error).__name__} {str(error)[:100]}") from None


def _read(stated: Mapping[str, Any], config: Mapping[str, Any], ends: Iterable[int]) -> tuple[Vocabulary, BytePair]:
    model = stated["model"]
    levels = [step for step in steps(stated["pre_tokenizer"], "pretokenizers") if step["type"] == "ByteLevel"]
    plain = not (
        model.get("byte_fallback") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    )
    if model["type"] != "BPE" or not levels or not plain:
        raise UnsupportedError(f"{model['type']} without byte level is not supported; use the model's tokenizer.model")
    ids = {token: int(i) for token, i in model["vocab"].items()}
    kinds = dict.fromkeys(ids.values(), NORMAL)
    strips: dict[str, tuple[bool, bool]] = {}
    for entry in stated.get("added_tokens") or ():
        added = read_added_token(entry)
        ids[added.text] = int(entry["id"])
        kinds[entry["id"]] = CONTROL if added.special else USER_DEFINED
        if any(added.strips):
            strips[added.text] = added.strips
    tokens = {i: token for token, i in ids.items()}
    if len(tokens) != len(ids) or not all(0 <= i < LARGEST_ID for i in tokens):
        raise ModelFileError(f"ids of tokens repeat or are not below {LARGEST_ID}")
    size = max(tokens) + 1
    bos, adds_bos = _beginning(stated, config)
    eos = token_text(config.get("eos_token"))
    vocabulary = Vocabulary.of(
        [tokens.get(i, f"<unused {i}>") for i in range(size)],
        [kinds.get(i, UNUSED) for i in range(size)],
        ids.get(bos) if bos else None,
        ids.get(eos) if eos else None,
        [i for i in ends if i in tokens],
        adds_bos,
        strips,
    )
    cut = _library({key: stated.get(key) for key in ("normalizer", "pre_tokenizer")})
    merges = model["merges"]
    if not isinstance(merges, list):
        raise ModelFileError("the merges are no list")
    words = bool(model.get("ignore_merges"))
    return vocabulary, BytePair(vocabulary, merges, cut.pre_tokenizer, cut.normalizer, whole_words=words)


def _beginning(stated: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The token that begins a text, and whether it is put there unasked."""
    for step in steps(stated.get("post_processor"), "processors"):
        if step["type"] == "TemplateProcessing" and "SpecialToken" in step["single"][0]:
            return str(step["single"][0]["SpecialToken"]["id"]), True
    return token_text(config.get("bos_token")), bool(config.get("add_bos_token"))


def steps(step: Any, inner: str) -> Iterator[Mapping[str, Any]]:
    """A step and those within it, in order; `inner` is the key that a sequence of its sort has them under."""
    if step is not None:
        yield step
        for part in step.get(inner, ()):
            yield from steps(part, inner)


def token_text(value: Any) -> str | None:
    """The text of a token that a configuration names, by itself or as an object."""
    text = value["content"] if isinstance(value, Mapping) else value
    return None if text is None else str(text)


def _library(parts: Mapping[str, Any]) -> tokenizers.Tokenizer:
    empty = {"type": "BPE", "vocab": {}, "merges": []}
    try:
        return tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", "model": empty, **parts}))
    except Exception as error:  # the library raises nothing more specific
        raise ModelFileError(f"not a sound tokenizer.json: {' '.join(str(error).split())[:100]}") from None
