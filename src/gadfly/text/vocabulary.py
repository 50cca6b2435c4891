"""The tokens of a model as its file states them, checked before a library is built from them.

Tokenizer libraries trust their input (some panic on a bad vocabulary), so what they rely on is verified here. How the
tokens cut a text is not known here: see `gadfly.text.byte_pair` and `gadfly.text.sentence_piece`.
The numbers of the kinds are SentencePiece's and GGUF's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from gadfly.errors import ModelFileError
from gadfly.text.tokenizer_keys import TokenizerKeys

__all__ = ["BYTE", "CONTROL", "ENDS", "NORMAL", "UNKNOWN", "UNUSED", "USER_DEFINED", "Vocabulary"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

LONGEST_TOKEN = 4096  # characters; the longest that are in use are runs of some hundred spaces

# What ends a turn or a text in models people chat with. Files often state one of several, or call them user-defined.
_ENDS = (
    "</s> <EOT> <end_of_turn> <eos> <turn|> <|END_OF_TURN_TOKEN|> <|call|> <|end_of_msg|> <|end_of_text|>"
    " <|end_of_turn|> <|end|> <|endoftext|> <|eom_id|> <|eos|> <|eot_id|> <|im_end|> <|return|>"
    " <｜end▁of▁sentence｜>"
)
ENDS = frozenset(_ENDS.split())


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id and the kind of each. `stops` end a turn or a text; `adds_bos` is None if the file does not say.

    `strips`: of control tokens by text, whether one takes the white space before it, and behind it. `ids` by token.
    """

    tokens: Sequence[str]
    kinds: Sequence[int]
    bos: int | None
    eos: int | None
    stops: frozenset[int]
    adds_bos: bool | None
    strips: Mapping[str, tuple[bool, bool]]
    ids: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(
        cls,
        tokens: Sequence[str],
        kinds: Sequence[int],
        bos: int | None,
        eos: int | None,
        ends: Iterable[int | None] = (),
        adds_bos: bool | None = None,
        strips: Mapping[str, tuple[bool, bool]] | None = None,
    ) -> Self:
        """Check the tokens and work out which are control tokens. `ends` are stated ids that end a turn or a text.

        A token that is stated to be a beginning or an end, or is known as one by name, must not arise from text, even
        where the file declares it as user-defined.
        """
        ids = dict(zip(tokens, range(len(tokens)), strict=True))
        _check(tokens, kinds, ids)
        stated = {i for i in (eos, *ends) if i is not None}
        named = {ids[end] for end in ENDS if end in ids and kinds[ids[end]] in (NORMAL, CONTROL, USER_DEFINED)}
        marks = {i for i in (*stated, bos) if i is not None and kinds[i] == USER_DEFINED}
        kinds = list(kinds)
        for i in marks | named:
            kinds[i] = CONTROL
        return cls(tokens, kinds, bos, eos, frozenset(stated | named), adds_bos, strips or {}, ids)

    @classmethod
    def from_gguf(cls, keys: TokenizerKeys) -> Self:
        tokens = keys.strings("tokens")
        if not tokens:
            raise ModelFileError("tokenizer.ggml.tokens is missing or empty; the file has no vocabulary")
        size = len(tokens)
        kinds = keys.numbers("token_type", size, "iu")
        return cls.of(
            tokens,
            [NORMAL] * size if kinds is None else kinds.tolist(),
            keys.token_id("bos_token_id", size),
            keys.token_id("eos_token_id", size),
            [keys.token_id("eot_token_id", size), keys.token_id("eom_token_id", size)],
            keys.flag("add_bos_token"),
        )

    def of_kind(self, *kinds: int) -> dict[str, int]:
        """Ids of the tokens of these kinds, by text."""
        if NORMAL not in kinds:
            return {self.tokens[i]: i for i in self.special if self.kinds[i] in kinds}
        found = dict(self.ids)
        for i in self.special:
            if self.kinds[i] not in kinds:
                del found[self.tokens[i]]
        return found

    @cached_property
    def special(self) -> list[int]:
        """Ids of all but the normal tokens, which are so many that nobody wants to look through them twice."""
        return [i for i, kind in enumerate(self.kinds) if kind != NORMAL]


def _check(tokens: Sequence[str], kinds: Sequence[int], ids: Mapping[str, int]) -> None:
    lengths = list(map(len, tokens))
    if tokens and (min(lengths) == 0 or max(lengths) > LONGEST_TOKEN):
        i = next(i for i, length in enumerate(lengths) if not 0 < length <= LONGEST_TOKEN)
        raise ModelFileError(f"token {i} has {lengths[i]} characters; expected 1 to {LONGEST_TOKEN}")
    if len(ids) < len(tokens):
        seen: dict[str, int] = {}
        for i, token in enumerate(tokens):
            if seen.setdefault(token, i) != i:
                raise ModelFileError(f"token {i} is {token[:40]!r}, as is token {seen[token]}; expected no two alike")
    if wrong := set(kinds) - set(range(NORMAL, BYTE + 1)):
        i = next(i for i, kind in enumerate(kinds) if kind in wrong)
        raise ModelFileError(f"token {i} is of type {kinds[i]}; expected {NORMAL} to {BYTE}")
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError:
        raise ModelFileError("the vocabulary holds a token that is not valid Unicode") from None
