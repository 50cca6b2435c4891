"""Text to token ids and back, whatever kind of tokenizer a model has.

Here is what they have in common: control tokens are recognised only where they are asked for, and what lies between
them is encoded as plain text. How plain text is cut: `gadfly.text.byte_pair`, `gadfly.text.sentence_piece`. Decoding
while tokens arrive: `gadfly.text.decoder`. Conversations: `gadfly.text.prompt`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from gadfly.errors import ModelFileError, RequestError, UnsupportedError
from gadfly.text.byte_pair import BytePair
from gadfly.text.piece_model import PieceModel
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS
from gadfly.text.sentence_piece import SentencePiece
from gadfly.text.specials import Specials
from gadfly.text.tok_json import TokJson
from gadfly.text.tokenizer_file import TokenizerFile, read_tokenizer_file
from gadfly.text.tokenizer_json import read_tokenizer_json
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.vocabulary import CONTROL, ENDS, Vocabulary
from gadfly.weights.gguf import GGUF

__all__ = ["Tokenizer"]


class Codec(Protocol):
    """Plain text to ids below `size` and back; the methods are described in Tokenizer."""

    size: int

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def token_text(self, token: int) -> str: ...
    def token_bytes(self, token: int) -> bytes: ...
    def is_fragment(self, token: int) -> bool: ...


class Tokenizer:
    """A model's tokens. `bos` and `eos` begin and end a text, `stop_ids` end a text or a turn of a conversation.

    `adds_bos` says whether the model expects `bos` in front of plain text. Immutable; safe to use from several threads.
    """

    def __init__(
        self,
        codec: Codec,
        controls: Mapping[str, int],
        bos: int | None = None,
        eos: int | None = None,
        stop_ids: Iterable[int] = (),
        adds_bos: bool = False,
        strips: Mapping[str, tuple[bool, bool]] | None = None,
    ) -> None:
        self._codec = codec
        self.controls = Specials(controls, strips)
        self.bos = bos
        self.eos = eos
        self.stop_ids = frozenset(stop_ids)
        self.adds_bos = adds_bos and bos is not None

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Self:
        """From the keys `tokenizer.ggml.*`. Raises UnsupportedError for kinds unknown here, ModelFileError for lies."""
        keys = TokenizerKeys(metadata)
        kind = keys.word("model")
        if kind is None:
            raise ModelFileError("the file has no tokenizer: tokenizer.ggml.model is missing")
        if kind not in ("gpt2", "llama"):
            raise UnsupportedError(f"the tokenizer is of the kind {kind[:40]!r}; supported are 'gpt2' and 'llama'")
        vocabulary = Vocabulary.from_gguf(keys)
        if kind == "llama":
            return cls._of(SentencePiece.from_gguf(vocabulary, keys), vocabulary, adds_bos=True)
        byte_pair = BytePair.from_gguf(vocabulary, keys)
        return cls._of(byte_pair, vocabulary, PRE_TOKENIZERS[keys.word("pre") or "default"].adds_bos)

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """From a GGUF file, a SentencePiece model, Hugging Face's tokenizer.json or Grok-2's tokenizer.tok.json.

        They are told apart by their content; what stands beside them is read too: see `gadfly.text.tokenizer_file`.
        Raises NotFoundError and ModelFileError, which name the file.
        """
        file = read_tokenizer_file(Path(path))
        if file.kind == "gguf":
            return cls._from_gguf_file(file.path)
        try:
            if file.kind == "sentence_piece":
                codec = SentencePiece(file.content)
                if not file.config.get("added_tokens_decoder"):
                    return cls._of_pieces(codec, file)
                model = PieceModel.read(file.content, codec.ids(), file.config, file.ends)
                return cls._of(SentencePiece(model.proto()), model.vocabulary, adds_bos=False)
            if file.kind == "tok_json":
                tok_json = TokJson(file.content)
                return cls._of(tok_json.byte_pair(), tok_json.vocabulary, adds_bos=False)
            vocabulary, byte_pair = read_tokenizer_json(file.content, file.config, file.ends)
            return cls._of(byte_pair, vocabulary, adds_bos=False)
        except ModelFileError as error:
            raise type(error)(f"{file.path}: {error}") from None

    @classmethod
    def _of_pieces(cls, codec: SentencePiece, file: TokenizerFile) -> Self:
        controls = codec.controls()
        ends = {i for token, i in controls.items() if token in ENDS} | {i for i in file.ends if 0 <= i < codec.size}
        ends |= {codec.eos} if codec.eos is not None else set()
        return cls(codec, controls, codec.bos, codec.eos, ends, file.config.get("add_bos_token") is True)

    @classmethod
    def _from_gguf_file(cls, path: Path) -> Self:
        with GGUF.open(path) as file:
            try:
                return cls.from_gguf(file.metadata)
            except ModelFileError as error:
                raise type(error)(f"{path}: {error}") from None

    @classmethod
    def _of(cls, codec: Codec, vocabulary: Vocabulary, adds_bos: bool) -> Self:
        """`adds_bos` counts if the file does not say."""
        return cls(
            codec,
            vocabulary.of_kind(CONTROL),
            vocabulary.bos,
            vocabulary.eos,
            vocabulary.stops,
            adds_bos if vocabulary.adds_bos is None else vocabulary.adds_bos,
            vocabulary.strips,
        )

    @property
    def vocab_size(self) -> int:
        return self._codec.size

    def encode(self, text: str, special: bool = False, bos: bool = False) -> list[int]:
        """Ids of a text. Control tokens that it spells out are recognised only if `special`.

        `bos` puts the token that begins a text in front, if the model has one. Raises RequestError if the text is not
        valid Unicode (a lone half of a surrogate pair).
        """
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise RequestError(f"the text is not valid Unicode at character {error.start}") from None
        ids = [self.bos] if bos and self.bos is not None else []
        for run in self.controls.split(text) if special else (text,):
            if isinstance(run, int):
                ids.append(run)
            else:
                ids += self._codec.encode(run)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; control tokens have none. Bytes that are no UTF-8 become U+FFFD each."""
        for token in ids:
            self._check(token)
        return self._codec.decode(ids)

    def token_text(self, token: int) -> str:
        """The token as it is written in the vocabulary."""
        self._check(token)
        return self._codec.token_text(token)

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text that does not begin with it: nothing if it is a control token."""
        self._check(token)
        return self._codec.token_bytes(token)

    def is_fragment(self, token: int) -> bool:
        """Whether the bytes of a token may be a part of a character, which the tokens around it complete."""
        self._check(token)
        return self._codec.is_fragment(token)

    def _check(self, token: int) -> None:
        if not 0 <= token < self.vocab_size:
            raise RequestError(f"token id {token} is out of range; the vocabulary has {self.vocab_size} tokens")
