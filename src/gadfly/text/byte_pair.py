"""Byte-level byte-pair encoding: patterns cut a text into words, the bytes of a word are merged pair by pair.

The `tokenizers` library does the work. It is given only what may arise from plain text, so that no merge can make a
control token; user-defined tokens are matched before it, as Hugging Face does. Control tokens in a text are the
business of `gadfly.text.tokenizer`.
The patterns: `gadfly.text.pre_tokenizers`. Source: GPT-2 (Radford et al. 2019) for bytes written as printable
characters.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS
from gadfly.text.specials import Specials
from gadfly.text.tokenizer_keys import TokenizerKeys
from gadfly.text.utf8 import decode_utf8
from gadfly.text.vocabulary import BYTE, NORMAL, USER_DEFINED, Vocabulary

__all__ = ["BytePair", "byte_text", "sound_merges"]


class BytePair:
    """Encodes plain text and decodes ids below `size`. Safe to use from several threads."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        merges: Sequence[str] | Sequence[Sequence[str]],
        pre_tokenizer: pre_tokenizers.PreTokenizer,
        normalizer: normalizers.Normalizer | None = None,
        *,
        whole_words: bool = False,
    ) -> None:
        """`merges` are pairs, best first, or strings with a space between the two; they may only join known tokens."""
        plain = vocabulary.of_kind(NORMAL, BYTE)
        joined = sound_merges(merges, vocabulary, plain)
        # What the library can remember of words saves up to a third of its work; but every thread remembers for itself,
        # also what a tokenizer has said that is gone, and words may be long nonsense.
        model = models.BPE(plain, joined, ignore_merges=whole_words, cache_capacity=0)
        self.size = len(vocabulary.tokens)
        self._library = tokenizers.Tokenizer(model)
        self._library.pre_tokenizer = pre_tokenizer
        if normalizer is not None:
            self._library.normalizer = normalizer
        self._user_defined = Specials(vocabulary.of_kind(USER_DEFINED))
        self._hidden = {
            i: vocabulary.tokens[i] for i in vocabulary.special if vocabulary.kinds[i] not in (BYTE, USER_DEFINED)
        }
        self._written = {i: token for token, i in self._user_defined.items()}

    @classmethod
    def from_gguf(cls, vocabulary: Vocabulary, keys: TokenizerKeys) -> Self:
        name = keys.word("pre") or "default"
        if name not in PRE_TOKENIZERS:
            known = ", ".join(PRE_TOKENIZERS)
            raise UnsupportedError(f"pre-tokenizer {name[:40]!r} is not supported; known are {known}")
        merges = keys.strings("merges")
        if merges is None:
            raise ModelFileError("tokenizer.ggml.merges is missing; byte-pair encoding needs it")
        pre = PRE_TOKENIZERS[name]
        return cls(vocabulary, merges, pre.cutter(), pre.normalizer(), whole_words=pre.whole_words)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for run in self._user_defined.split(text):
            if isinstance(run, int):
                ids.append(run)
            else:
                ids += self._library.encode(run, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return decode_utf8(b"".join(map(self.token_bytes, ids)), final=True)[0]

    def token_text(self, token: int) -> str:
        return self._hidden.get(token) or self._written.get(token) or str(self._library.id_to_token(token))

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text: nothing if it is a control token."""
        if token in self._hidden:
            return b""
        if token in self._written:
            return self._written[token].encode()
        text = self.token_text(token)
        try:
            return bytes(_BYTES[character] for character in text)
        except KeyError:  # not written in the byte alphabet, so meant as it stands
            return text.encode()

    def is_fragment(self, token: int) -> bool:  # noqa: ARG002
        return True


def sound_merges(
    merges: Sequence[str] | Sequence[Sequence[str]], vocabulary: Vocabulary, plain: Mapping[str, int] | None = None
) -> list[tuple[str, str]]:
    """The merges of tokens that may arise from text; others are left out, merges of no token at all are an error.

    `plain` are the tokens that may, if they are at hand. There are some hundred thousand merges, nearly always sound
    ones, and whoever starts a model waits for this: what is wrong is looked for only if something is.
    """
    plain = vocabulary.of_kind(NORMAL, BYTE) if plain is None else plain
    try:
        pairs = [(left, right) for left, right in (m.split(" ") if isinstance(m, str) else m for m in merges)]
        if all(left in plain and right in plain and left + right in plain for left, right in pairs):
            return pairs
    except (TypeError, ValueError):
        pass  # found and named below
    return list(_picked_merges(merges, vocabulary, plain))


def _picked_merges(
    merges: Sequence[str] | Sequence[Sequence[str]], vocabulary: Vocabulary, plain: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    known = frozenset(vocabulary.tokens)
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        try:
            left, right = pair
            joined = left + right
        except (TypeError, ValueError):
            raise ModelFileError(f"merge {number} is {str(merge)[:40]!r}; expected two tokens") from None
        if left in plain and right in plain and joined in plain:
            yield left, right
        elif missing := [token for token in (left, right, joined) if token not in known]:
            raise ModelFileError(f"merge {number} is about {missing[0][:40]!r}, which is not in the vocabulary")


def byte_text(data: bytes) -> str:
    """How a vocabulary writes the bytes of a token."""
    return data.decode("latin-1").translate(_CHARACTERS)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 stands for itself, the rest follows from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()
_CHARACTERS = {byte: ord(character) for character, byte in _BYTES.items()}
