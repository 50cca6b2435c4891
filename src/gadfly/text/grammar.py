"""Answers held to a grammar: which tokens may come next, worked out by llguidance beside the forward pass.

A grammar comes from a stranger. What it may cost is limited by fuel, which llguidance counts, by the size of what it is
given, and by a patience; it is built in a thread with a deep stack, and never by the thread that runs the engine. Its
first mask belongs to the building. Every later one is begun as soon as a token is known, and waited for when the next
is drawn. What grammars look like: `gadfly.text.answer_grammar`.
Source: https://github.com/guidance-ai/llguidance; a schema's or grammar's features are what it documents.
"""

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from gadfly.errors import RequestError
from gadfly.text.tokenizer import Tokenizer

__all__ = ["GrammarConstraint", "Grammars"]

PLACE = re.compile(r"^(at )?\d+\(\d+\): ")  # in a text that the client has not written
STACK = 2**27  # bytes of address space, of which memory is taken when it is used
PATIENCE = 10.0  # seconds
LIMITS = LLParserLimits(
    initial_lexer_fuel=500_000,
    step_lexer_fuel=100_000,
    step_max_items=20_000,
    max_lexer_states=50_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)


class TokenTable:
    """What llguidance wants to know of a tokenizer, and nothing that would keep a model alive.

    A token without text of its own, such as a control token, is marked by a first byte of 255, which no text has. The
    last one, which no model has, ends texts where a model has no token for it.
    """

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        texts = [tokenizer.token_bytes(token) for token in range(min(tokenizer.vocab_size, vocab))]
        size = len(texts)
        names = [tokenizer.token_text(i).encode() if i < size else f"<unused {i}>".encode() for i in range(vocab + 1)]
        self.special_token_ids = [i for i in range(vocab + 1) if i >= size or not texts[i]]
        self.tokens = [texts[i] if i < size and texts[i] else names[i] for i in range(vocab + 1)]
        self.stop_ids = sorted(i for i in tokenizer.stop_ids if i < vocab) or [vocab]
        self.eos_token_id = self.stop_ids[0]
        self._encode = tokenizer.encode
        self._ids = {data: i for i, data in reversed(list(enumerate(texts))) if data}
        self._longest = max(map(len, self._ids), default=1)

    def __call__(self, data: bytes) -> list[int]:
        """Tokens that say exactly these bytes, the ones that the tokenizer would choose if it can be had to.

        It is asked for what comes behind a line, as some tokenizers put a space in front of what begins a text.
        """
        try:
            ids = self._encode("\n" + data.decode())
        except UnicodeDecodeError:
            return self._greedy(data)
        for start in range(1, min(len(ids), 3) + 1):
            if b"".join(self.tokens[i] for i in ids[start:]) == data:
                return ids[start:]
        return self._greedy(data)

    def _greedy(self, data: bytes) -> list[int]:
        """The longest token again and again; a byte for which there is none ends it."""
        ids: list[int] = []
        done = 0
        while done < len(data):
            for end in range(min(len(data), done + self._longest), done, -1):
                if (found := self._ids.get(data[done:end])) is not None:
                    ids.append(found)
                    done = end
                    break
            else:
                return ids
        return ids


class Grammars:
    """Makes constraints for the answers of one model, whose logits are as wide as `vocab`."""

    def __init__(self, tokenizer: Tokenizer, vocab: int, patience: float = PATIENCE) -> None:
        self._tokenizer = tokenizer
        self._vocab = vocab
        self._patience = patience
        self._lock = threading.Lock()
        self._table: LLTokenizer | None = None
        self._endless = False  # the model has no token that ends an answer
        self._builder = _DeepThread("gadfly-grammar")
        self._masks = _DeepThread("gadfly-mask")

    def constraints(self, grammar: str, count: int) -> list["GrammarConstraint"]:
        """`count` constraints to a grammar in llguidance's form. Raises RequestError if it is wrong or too much."""
        tokens = self._tokens()  # takes its time once, which is nobody's fault
        future: Future[list[GrammarConstraint]] = self._builder.submit(self._build, tokens, grammar, count)
        try:
            return future.result(self._patience)
        except TimeoutError:
            self._builder = _DeepThread("gadfly-grammar")  # the other one is left to it
            raise RequestError(
                f"the format takes more than {self._patience:g} s to prepare; ask for something simpler"
            ) from None

    def _build(self, tokens: LLTokenizer, grammar: str, count: int) -> list["GrammarConstraint"]:
        matcher = LLMatcher(tokens, grammar, log_level=0, limits=LIMITS)
        first = GrammarConstraint(matcher, self._vocab, self._endless, self._masks.submit)
        return [first, *(first.again() for _ in range(count - 1))]

    def _tokens(self) -> LLTokenizer:
        with self._lock:
            if self._table is None:
                table = TokenTable(self._tokenizer, self._vocab)
                self._endless = table.stop_ids == [self._vocab]
                self._table = LLTokenizer(TokenizerWrapper(table), eos_token=table.stop_ids)
            return self._table


class GrammarConstraint:
    """Of one answer. Keeps the contract of `gadfly.engine.constraint`."""

    def __init__(
        self, matcher: LLMatcher, vocab: int, endless: bool, submit: Callable[[Callable[[], None]], "Future[None]"]
    ) -> None:
        self._matcher = matcher
        self._vocab = vocab
        self._endless = endless
        self._submit = submit
        self._bits = np.zeros(vocab // 32 + 1, np.int32)
        self._forbidden = np.empty(vocab, np.bool_)
        self._coming: Future[None] | None = None
        self._compute()
        self._check()

    def again(self) -> "GrammarConstraint":
        """Another one at the same point."""
        return GrammarConstraint(self._matcher.deep_copy(), self._vocab, self._endless, self._submit)

    def forbidden(self) -> NDArray[np.bool_]:
        """See `Constraint`; it may be changed by the next call of `advance`."""
        if self._coming:
            self._coming.result()
            self._coming = None
            self._check()
        return self._forbidden

    def advance(self, token: int) -> bool:
        if not self._matcher.consume_token(token):
            self._check()
        if self._matcher.is_stopped():
            return True
        if self._endless and self._matcher.is_accepting():
            self._compute()
            return bool(self._forbidden.all())
        self._coming = self._submit(self._compute)
        return False

    def _compute(self) -> None:
        bits = self._bits
        self._matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        np.equal(np.unpackbits(bits.view(np.uint8), count=self._vocab, bitorder="little"), 0, out=self._forbidden)

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = PLACE.sub("", self._matcher.get_error().partition("\n")[0])
            raise RequestError(f"the format cannot be kept: {reason[:300]}")


class _DeepThread(ThreadPoolExecutor):
    """One thread, started when it is needed, whose stack is deep enough for whatever the limits let through."""

    def __init__(self, name: str) -> None:
        super().__init__(1, name)

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        if self._threads:
            return super().submit(work, *args, **kwargs)
        before = threading.stack_size(STACK)
        try:
            return super().submit(work, *args, **kwargs)
        finally:
            threading.stack_size(before)
