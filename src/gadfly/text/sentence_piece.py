"""SentencePiece: pieces with scores, spaces written as U+2581, bytes as a fallback for what no piece covers.

The `sentencepiece` library does the work. It reads nothing but its own protocol buffers, so the vocabulary of a GGUF
file is written as one first: see `gadfly.text.piece_model`.
"""

from collections.abc import Sequence
from typing import Self

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.piece_model import SPACE, PieceModel
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.vocabulary import Vocabulary

__all__ = ["SentencePiece"]


class SentencePiece:
    """Encodes plain text and decodes ids below `size`. Safe to use from several threads."""

    def __init__(self, model: bytes) -> None:
        """Load a serialised ModelProto. Raises ModelFileError if the library does not accept it."""
        from sentencepiece import SentencePieceProcessor  # most models have another kind of tokenizer

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
        return cls(PieceModel.from_gguf(vocabulary, keys).proto())

    @property
    def bos(self) -> int | None:
        return self.ids().get("bos")

    @property
    def eos(self) -> int | None:
        return self.ids().get("eos")

    def ids(self) -> dict[str, int]:
        """Of the tokens that have a role in the model: "unknown", "bos", "eos" and "pad", if there are such."""
        library = self._library
        found = {"unknown": library.unk_id(), "bos": library.bos_id(), "eos": library.eos_id(), "pad": library.pad_id()}
        return {role: i for role, i in found.items() if i >= 0}

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
