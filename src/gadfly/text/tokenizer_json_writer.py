"""Writes what the `tokenizers` library reads: the content of a tokenizer.json, for both kinds of tokenizers.

SentencePiece takes pieces that a user has defined out of a text before it merges; here a pattern cuts them off, and
words that are tokens are taken whole. How such files are read: `gadfly.text.tokenizer_json`.
Source: the serialised form of the `tokenizers` library.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gadfly.text.piece_model import SPACE, PieceModel
from gadfly.text.pre_tokenizers import PreTokenizer
from gadfly.text.vocabulary import CONTROL, NORMAL, UNUSED, USER_DEFINED, Vocabulary

__all__ = ["added_tokens", "byte_pair_json", "pieces_json"]


def byte_pair_json(
    vocabulary: Vocabulary, merges: Sequence[tuple[str, str]], pre: PreTokenizer, bos: int | None
) -> dict[str, Any]:
    """Byte-level byte-pair encoding; `bos` is what is put in front of a text."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return _file(
        vocabulary,
        merges,
        added_tokens(vocabulary, CONTROL, USER_DEFINED, UNUSED),  # the last so that no id is missing
        bos,
        normalizer={"type": "NFC"} if pre.composed else None,
        pre_tokenizer={"type": "Sequence", "pretokenizers": [*map(_split, pre.patterns), level]},
        decoder=level,
        model={"ignore_merges": pre.whole_words},
    )


def pieces_json(model: PieceModel, bos: int | None) -> dict[str, Any]:
    """A SentencePiece model; `bos` is what is put in front of a text."""
    vocabulary = model.vocabulary
    defined = sorted(vocabulary.of_kind(USER_DEFINED), key=len, reverse=True)
    spaces = [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    if model.space_prefix:
        spaces.insert(0, {"type": "Prepend", "prepend": SPACE})
    shown: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if model.space_prefix:
        shown.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return _file(
        vocabulary,
        list(_merges(model)),
        added_tokens(vocabulary, CONTROL),
        bos,
        normalizer={"type": "Sequence", "normalizers": spaces},
        pre_tokenizer=_split("|".join(map(re.escape, defined))) if defined else None,
        decoder={"type": "Sequence", "decoders": shown},
        model={
            "unk_token": vocabulary.tokens[model.unknown],
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": bool(defined),
        },
    )


def added_tokens(vocabulary: Vocabulary, *kinds: int) -> list[dict[str, Any]]:
    """The tokens that are found in a text before anything else, as the library describes them."""
    marks = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": i, "content": token, **marks, "special": kind != USER_DEFINED}
        for i, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.kinds, strict=True))
        if kind in kinds
    ]


def _file(
    vocabulary: Vocabulary,
    merges: Sequence[tuple[str, str]],
    added: list[dict[str, Any]],
    bos: int | None,
    model: Mapping[str, Any],
    **steps: Any,
) -> dict[str, Any]:
    beginning = None if bos is None else _beginning(vocabulary.tokens[bos], bos)
    whole = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        **model,
        "vocab": {token: i for i, token in enumerate(vocabulary.tokens)},  # added ones too, or they get other ids
        "merges": [list(pair) for pair in merges],
    }
    first = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added}
    return {**first, **steps, "post_processor": beginning, "model": whole}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _beginning(token: str, i: int) -> dict[str, Any]:
    """What puts the token in front of a text, or of each of two."""
    pieces = [
        [{"SpecialToken": {"id": token, "type_id": kind}}, {"Sequence": {"id": name, "type_id": kind}}]
        for kind, name in enumerate("AB")
    ]
    return {
        "type": "TemplateProcessing",
        "single": pieces[0],
        "pair": [*pieces[0], *pieces[1]],
        "special_tokens": {token: {"id": token, "ids": [i], "tokens": [token]}},
    }


def _merges(model: PieceModel) -> Iterator[tuple[str, str]]:
    """All ways to join two pieces to one, those of high scores first."""
    plain = model.vocabulary.of_kind(NORMAL)
    for piece in sorted(plain, key=lambda piece: -model.scores[plain[piece]]):
        for cut in range(1, len(piece)):
            if piece[:cut] in plain and piece[cut:] in plain:
                yield piece[:cut], piece[cut:]
