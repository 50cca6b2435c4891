"""SentencePiece: pieces with scores, spaces written as U+2581, bytes as a fallback for what no piece covers.

The `sentencepiece` library does the work. It reads nothing but its own protocol buffers, so the vocabulary of a GGUF
file is written as one first; the few fields that it takes are encoded by hand.
Source: sentencepiece_model.proto for the numbers of the fields; https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Sequence
from typing import Self

from sentencepiece import SentencePieceProcessor

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.vocabulary import BYTE, NORMAL, UNKNOWN, Vocabulary

__all__ = ["SentencePiece"]

SPACE = "\u2581"


class SentencePiece:
    """Encodes plain text and decodes ids below `size`. Safe to use from several threads."""

    def __init__(self, model: bytes) -> None:
        """Load a serialised ModelProto. Raises ModelFileError if the library does not accept it."""
        self._library = SentencePieceProcessor()
        try:
            self._library.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise ModelFileError(f"not a SentencePiece model: {' '.join(str(error).split())[:200]}") from None
        if "".join(self._library.encode("a", out_type=str)).endswith(SPACE):
            raise UnsupportedError("the SentencePiece model writes the space after a word; only before is supported")
        self.size = int(self._library.get_piece_size())

    @classmethod
    def from_gguf(cls, vocabulary: Vocabulary, keys: TokenizerKeys) -> Self:
        scores = keys.numbers("scores", len(vocabulary.tokens))
        if scores is None:
            raise ModelFileError("tokenizer.ggml.scores is missing; SentencePiece needs it")
        unknown = keys.token_id("unknown_token_id", len(vocabulary.tokens))
        space_prefix = keys.flag("add_space_prefix")
        return cls(_model(vocabulary, scores.tolist(), unknown, space_prefix is None or space_prefix))

    @property
    def bos(self) -> int | None:
        found = self._library.bos_id()
        return found if found >= 0 else None

    @property
    def eos(self) -> int | None:
        found = self._library.eos_id()
        return found if found >= 0 else None

    def controls(self) -> dict[str, int]:
        """Ids of the control tokens, by text."""
        return {self.token_text(i): i for i in range(self.size) if self._library.is_control(i)}

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._library.encode(text)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._library.decode(list(ids))
        return text

    def token_text(self, token: int) -> str:
        return self._library.id_to_piece(token)

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text, behind others: nothing if it is a control token."""
        if self._library.is_byte(token):
            return bytes.fromhex(self.token_text(token)[3:5])
        if self._library.is_control(token):
            return b""
        if self._library.is_unknown(token):
            return self.decode([token]).encode()
        return self.token_text(token).replace(SPACE, " ").encode()

    def is_fragment(self, token: int) -> bool:
        return self._library.is_byte(token)


def _model(vocabulary: Vocabulary, scores: Sequence[float], unknown: int | None, space_prefix: bool) -> bytes:
    """A ModelProto of type BPE that leaves its text as it is, but for a space in front if `space_prefix`."""
    kinds = list(vocabulary.kinds)
    if UNKNOWN not in kinds and unknown is not None:
        kinds[unknown] = UNKNOWN
    if kinds.count(UNKNOWN) != 1:
        raise ModelFileError(f"the vocabulary has {kinds.count(UNKNOWN)} unknown tokens; SentencePiece needs one")
    unknown = kinds.index(UNKNOWN)
    pieces = (
        _bytes(1, _bytes(1, token.encode()) + _float(2, score) + (b"" if kind == NORMAL else _integer(3, kind)))
        for token, score, kind in zip(vocabulary.tokens, scores, kinds, strict=True)
    )
    byte_pair, byte_fallback = _integer(3, 2), _integer(35, BYTE in kinds)
    trainer = byte_pair + byte_fallback + _integer(40, unknown) + _bytes(44, vocabulary.tokens[unknown].encode())
    normalizer = _bytes(1, b"identity") + _integer(3, space_prefix) + _integer(4, 0)
    return b"".join(pieces) + _bytes(2, trainer) + _bytes(3, normalizer)


def _varint(value: int) -> bytes:
    low = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)
