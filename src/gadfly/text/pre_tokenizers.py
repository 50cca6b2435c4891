"""How byte-level tokenizers cut a text into words, under the names that GGUF files give them (tokenizer.ggml.pre).

What happens inside a word is known in `gadfly.text.byte_pair`. The patterns are those of the models' own
tokenizer.json files and of `tiktoken`; which name stands for which, llama.cpp decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenizers import Regex, normalizers, pre_tokenizers

__all__ = ["GPT_2", "PRE_TOKENIZERS", "PreTokenizer"]

GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
_MIXED_CASE = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
)
_AFTER_WORDS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = "|".join([*_MIXED_CASE, r"\p{N}", _AFTER_WORDS])
_GPT_4O = "|".join([*(word + r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?" for word in _MIXED_CASE), r"\p{N}{1,3}", _AFTER_WORDS])


@dataclass(frozen=True)
class PreTokenizer:
    """`patterns` are applied one after the other: the next cuts both what the last one matched and what it left over.

    `whole_words`: a word that is a token is taken as it is, whether or not merges lead to it. `composed`: text is
    brought into Unicode's composed form (NFC) first. `adds_bos`: what holds unless the file says otherwise.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    composed: bool = False
    adds_bos: bool = False

    def cutter(self) -> pre_tokenizers.PreTokenizer:
        steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self.patterns]
        return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    def normalizer(self) -> normalizers.Normalizer | None:
        return normalizers.NFC() if self.composed else None


_LIKE_GPT_2 = PreTokenizer((GPT_2,))
_LIKE_GPT_4O = PreTokenizer((_GPT_4O,), whole_words=True)
_LIKE_LLAMA_3 = PreTokenizer((_LLAMA_3,), whole_words=True, adds_bos=True)
_LIKE_SMOLLM = PreTokenizer((r"\p{N}", GPT_2))

PRE_TOKENIZERS: Mapping[str, PreTokenizer] = {  # of several names for the same, the one to write comes first
    "dbrx": PreTokenizer((_LLAMA_3,)),
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": _LIKE_GPT_2,
    "gpt2": _LIKE_GPT_2,
    "gpt-4o": _LIKE_GPT_4O,
    "llama4": _LIKE_GPT_4O,
    "grok-2": PreTokenizer((_QWEN_2,), whole_words=True),  # as in tiktoken, which its tokenizer was made for
    "llama-bpe": _LIKE_LLAMA_3,
    "llama-v3": _LIKE_LLAMA_3,
    "llama3": _LIKE_LLAMA_3,
    "qwen2": PreTokenizer((_QWEN_2,), composed=True),
    "smollm": _LIKE_SMOLLM,
    "starcoder": _LIKE_SMOLLM,
    "tekken": PreTokenizer((_TEKKEN,), whole_words=True, adds_bos=True),
}
