"""Grok-2's tokenizer.tok.json: tokens as bytes, which `tiktoken` merges in the order of their ids.

    {"regular_tokens": [{"bytes": [32, 116], "token": 263}, …], "special_tokens": […], "word_split": "V1"}

There is no list of merges: two neighbours become one if their bytes together are a token, the one of the lowest id
first. As merges these are all the ways to cut a token in two tokens, those of low ids first; within a token their order
does not matter, since only one of them can be reached: what happens inside the bytes of a token before they become one
does not depend on what stands around them.
Source: sgl-project/sglang, srt/tokenizer/tiktoken_tokenizer.py; vllm-project/vllm, tokenizers/grok2.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokenizers import Regex, pre_tokenizers

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.byte_pair import BytePair, byte_text
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS, PreTokenizer
from gadfly.text.vocabulary import CONTROL, NORMAL, UNUSED, Vocabulary

__all__ = ["TokJson"]

MOST_TOKENS = 2**20
LONGEST_TOKEN = 512  # bytes; ways to cut tokens grow with the square
LONGEST_PATTERN = 4096  # characters


class TokJson:
    """A file's content, checked. `merges` are pairs of tokens, best first; `pre` is None for a pattern not known."""

    def __init__(self, stated: Mapping[str, Any]) -> None:
        """`stated` is the parsed file. Raises ModelFileError."""
        try:
            self._read(stated)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelFileError(f"not a sound tokenizer.tok.json: {type(error).__name__} {str(error)[:100]}") from None

    def _read(self, stated: Mapping[str, Any]) -> None:
        if stated["word_split"] != "V1":
            raise UnsupportedError(f"word_split is {str(stated['word_split'])[:40]!r}; only 'V1' is supported")
        ranks = dict(_tokens(stated["regular_tokens"]))
        specials = dict(_tokens(stated["special_tokens"]))
        if missing := [byte for byte in range(256) if bytes([byte]) not in ranks]:
            raise ModelFileError(f"the byte {missing[0]} is no token; expected all 256")
        texts = {i: byte_text(data) for data, i in ranks.items()} | {i: data.decode() for data, i in specials.items()}
        if len(texts) != len(stated["regular_tokens"]) + len(stated["special_tokens"]):
            raise ModelFileError("two tokens have the same id or the same bytes")
        size = stated.get("vocab_size") or max(texts) + 1
        if not isinstance(size, int) or not max(texts) < size <= MOST_TOKENS:
            raise ModelFileError(f"vocab_size is {str(size)[:40]}, but the largest id {max(texts)}")
        kinds = dict.fromkeys(ranks.values(), NORMAL) | dict.fromkeys(specials.values(), CONTROL)
        self.vocabulary = Vocabulary.of(
            [texts.get(i, f"<unused {i}>") for i in range(size)],
            [kinds.get(i, UNUSED) for i in range(size)],
            None,
            specials.get(b"<|eos|>"),
            [specials.get(b"<|separator|>")],
            adds_bos=False,
        )
        self.merges = [(byte_text(left), byte_text(right)) for left, right in _merges(ranks)]
        pattern = stated.get("pat_str")
        known = PRE_TOKENIZERS["grok-2"]
        self.pre = "grok-2" if pattern is None or pattern == known.patterns[0] else None
        self._pre_tokenizer = known if self.pre else PreTokenizer((_checked(pattern),), whole_words=True)

    def byte_pair(self) -> BytePair:
        return BytePair(self.vocabulary, self.merges, _cutter(self._pre_tokenizer), whole_words=True)


def _tokens(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[bytes, int]]:
    for entry in entries:
        stated, i = entry["bytes"], entry["token"]
        data = bytes(stated) if isinstance(stated, list) else b""  # of a number, bytes would make that many
        if type(i) is not int or not 0 <= i < MOST_TOKENS or not 0 < len(data) <= LONGEST_TOKEN:
            raise ModelFileError(
                f"token {str(i)[:40]} has {len(data)} bytes; expected 1 to {LONGEST_TOKEN}, and ids below {MOST_TOKENS}"
            )
        yield data, i


def _merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    for token in sorted(ranks, key=ranks.__getitem__):
        for cut in range(1, len(token)):
            if token[:cut] in ranks and token[cut:] in ranks:
                yield token[:cut], token[cut:]


def _checked(pattern: object) -> str:
    if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN:
        raise ModelFileError(f"pat_str is no pattern of at most {LONGEST_PATTERN} characters")
    if "}+" in pattern:  # which tiktoken takes for a count that gives nothing back, and this library for two counts
        raise UnsupportedError("pat_str counts possessively, which is not supported")
    return pattern


def _cutter(pre_tokenizer: PreTokenizer) -> pre_tokenizers.PreTokenizer:
    try:
        Regex(pre_tokenizer.patterns[0])
    except Exception as error:  # the library raises nothing more specific
        raise ModelFileError(f"pat_str is no pattern: {' '.join(str(error).split())[:100]}") from None
    return pre_tokenizer.cutter()
