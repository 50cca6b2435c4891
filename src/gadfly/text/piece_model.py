"""A SentencePiece model as data: read from its own protocol buffers or from a GGUF file, written as the former.

Only models that merge pairs and leave their text as it is can be written down in a GGUF file; here they are told from
the others. How pieces cut a text is not known here: see `gadfly.text.sentence_piece`.
Source: sentencepiece_model.proto for the numbers of the fields.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.added_tokens import read_added_tokens
from gadfly.text.protobuf import bytes_field, fields, float_field, integer_field
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, Vocabulary

__all__ = ["SPACE", "PieceModel", "user_defined_with"]

SPACE = "\u2581"

BYTE_PAIR = 2  # a type of model
UNLIKELY = -1000.0  # the score of tokens that no text leads to

_PIECE, _TRAINER, _NORMALIZER = 1, 2, 3
_MODEL_TYPE, _BYTE_FALLBACK, _UNKNOWN_SURFACE = 3, 35, 44
_IDS = range(40, 44)  # of unknown, begin, end, padding
_NAMES = range(45, 49)  # the pieces of these ids
_CHARACTERS, _SPACE_PREFIX, _ONE_SPACE, _ESCAPED = 2, 3, 4, 5


@dataclass(frozen=True)
class PieceModel:
    """Pieces with scores. It merges pairs, and changes no text, but `space_prefix` puts a space in front."""

    vocabulary: Vocabulary
    scores: Sequence[float]
    unknown: int
    pad: int | None
    space_prefix: bool

    @classmethod
    def from_gguf(cls, vocabulary: Vocabulary, keys: TokenizerKeys) -> Self:
        size = len(vocabulary.tokens)
        scores = keys.numbers("scores", size)
        if scores is None:
            raise ModelFileError("tokenizer.ggml.scores is missing; SentencePiece needs it")
        unknown = keys.token_id("unknown_token_id", size)
        kinds = list(vocabulary.kinds)
        if UNKNOWN not in kinds and unknown is not None:
            kinds[unknown] = UNKNOWN
        if kinds.count(UNKNOWN) != 1:
            raise ModelFileError(f"the vocabulary has {kinds.count(UNKNOWN)} unknown tokens; SentencePiece needs one")
        prefix = keys.flag("add_space_prefix")
        tokens = user_defined_with(" ", SPACE, vocabulary)
        return cls(
            replace(vocabulary, tokens=tokens, kinds=kinds),
            scores.tolist(),
            kinds.index(UNKNOWN),
            keys.token_id("padding_token_id", size),
            prefix is None or prefix,
        )

    @classmethod
    def read(cls, data: bytes, ids: Mapping[str, int], config: Mapping[str, Any], ends: Iterable[int]) -> Self:
        """`data` is a ModelProto that the library accepts, `ids` are its "unknown", "bos", "eos" and "pad", if any.

        `config` is the content of tokenizer_config.json, whose added tokens are put behind the pieces or change their
        kind; `ends` are ids that end an answer. Raises UnsupportedError if the model is of another type or normalises.
        """
        tokens: list[str] = []
        scores: list[float] = []
        kinds: list[int] = []
        trainer: dict[int, int | bytes] = {}
        normalizer: dict[int, int | bytes] = {}
        for number, value in fields(data):
            if number == _PIECE:
                text, score, kind = _piece(value, len(tokens))
                tokens.append(text)
                scores.append(score)
                kinds.append(kind)
            elif number in (_TRAINER, _NORMALIZER) and isinstance(value, bytes):
                (trainer if number == _TRAINER else normalizer).update(fields(value))
        if trainer.get(_MODEL_TYPE, 1) != BYTE_PAIR:
            raise UnsupportedError(
                "the SentencePiece model does not merge pairs; added tokens and GGUF files need that"
            )
        if normalizer.get(_CHARACTERS) or normalizer.get(_ONE_SPACE, 1) or not normalizer.get(_ESCAPED, 1):
            raise UnsupportedError(
                "the SentencePiece model changes its text; added tokens and GGUF files rule that out"
            )
        if "unknown" not in ids:
            raise ModelFileError("the SentencePiece model has no unknown token; it needs one")
        added = read_added_tokens(config)
        for i in range(len(tokens), max(added, default=-1) + 1):
            tokens.append(f"<unused {i}>")
            kinds.append(UNUSED)
            scores.append(UNLIKELY)
        strips: dict[str, tuple[bool, bool]] = {}
        for i, token in added.items():
            if kinds[i] in (NORMAL, USER_DEFINED, UNUSED):
                tokens[i], kinds[i] = token.text, CONTROL if token.special else USER_DEFINED
            if kinds[i] == CONTROL and any(token.strips):
                strips[tokens[i]] = token.strips
        vocabulary = Vocabulary.of(
            tokens,
            kinds,
            ids.get("bos"),
            ids.get("eos"),
            [i for i in ends if 0 <= i < len(tokens)],
            config.get("add_bos_token") is True,
            strips,
        )
        return cls(vocabulary, scores, ids["unknown"], ids.get("pad"), bool(normalizer.get(_SPACE_PREFIX, 1)))

    def proto(self) -> bytes:
        """A serialised ModelProto."""
        tokens, kinds = self.vocabulary.tokens, self.vocabulary.kinds
        pieces = (
            bytes_field(
                _PIECE,
                bytes_field(1, token.encode())
                + float_field(2, score)
                + (b"" if kind == NORMAL else integer_field(3, kind)),
            )
            for token, score, kind in zip(tokens, self.scores, kinds, strict=True)
        )
        ids = (self.unknown, self.vocabulary.bos, self.vocabulary.eos, self.pad)
        trainer = [integer_field(_MODEL_TYPE, BYTE_PAIR), integer_field(_BYTE_FALLBACK, BYTE in kinds)]
        trainer += [integer_field(field, -1 if i is None else i) for field, i in zip(_IDS, ids, strict=True)]
        trainer += [bytes_field(_UNKNOWN_SURFACE, tokens[self.unknown].encode())]
        trainer += [
            bytes_field(field, tokens[i].encode()) for field, i in zip(_NAMES, ids, strict=True) if i is not None
        ]
        normalizer = bytes_field(1, b"identity") + integer_field(_SPACE_PREFIX, self.space_prefix)
        normalizer += integer_field(_ONE_SPACE, 0)
        return b"".join(pieces) + bytes_field(_TRAINER, b"".join(trainer)) + bytes_field(_NORMALIZER, normalizer)


def user_defined_with(old: str, new: str, vocabulary: Vocabulary) -> list[str]:
    """The tokens, user-defined ones written with another space: GGUF files have the plain one in them, and only there.

    Where that would make two tokens alike, the first stays as it is.
    """
    taken = set(vocabulary.tokens)
    return [
        other if kind == USER_DEFINED and (other := token.replace(old, new)) not in taken else token
        for token, kind in zip(vocabulary.tokens, vocabulary.kinds, strict=True)
    ]


def _piece(value: int | bytes, number: int) -> tuple[str, float, int]:
    found = dict(fields(value)) if isinstance(value, bytes) else {}
    text, score, kind = found.get(1, b""), found.get(2, bytes(4)), found.get(3, NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, bytes) or len(score) != 4 or not isinstance(kind, int):
        raise ModelFileError(f"piece {number} of the SentencePiece model is damaged")
    return text.decode(errors="replace"), struct.unpack("<f", score)[0], kind
