"""What is asked of the engine (`Request`, frozen) and how far it has come with it (`Sequence`, mutable).

A sequence is its tokens, prompt and answer alike: those before `computed` have their keys and values in `pages`, the
others are pending. Nothing else tells a prompt that is being read from an answer that is being written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gadfly.completion import FinishReason, Sampling, Usage
from gadfly.engine.constraint import ConstraintSource
from gadfly.engine.draft import Drafter
from gadfly.engine.likelihood import Likelihood
from gadfly.engine.pooling import Pool, Pooling
from gadfly.engine.sampling import Sampler
from gadfly.errors import ContextError, RequestError

__all__ = ["Request", "Sequence"]

MOST_ALTERNATIVES = 20  # to every token, as in OpenAI's API


@dataclass(frozen=True)
class Request:
    """Continue `prompt` up to a token of `stop_ids`, `max_tokens` new tokens or, failing both, the end of the context.

    With `ignore_eos` a token of `stop_ids` is one like any other. Requests of one `client`, whatever that stands for,
    do not keep those of others waiting. An answer that is not finished after `seconds` fails with DeadlineError.

    `constraint` says which tokens may come, and ends the answer when none may. `logprobs` asks for the likelihood of
    every token of the answer and of so many alternatives, `prompt_logprobs` for those of the prompt, too, which then is
    computed as if nothing of it were cached. With `pooling`, what is wanted is a vector of the prompt, and no answer.
    `strengths` are those of adapters 0, 1, …; empty is the base.
    """

    prompt: tuple[int, ...]
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    client: str = ""
    seconds: float | None = None
    constraint: ConstraintSource | None = None
    logprobs: int | None = None
    prompt_logprobs: bool = False
    pooling: Pooling | None = None
    strengths: tuple[float, ...] = ()

    def validate(self, vocab: int, context: int) -> None:
        """Raise RequestError for what no model of this vocabulary can do, ContextError for a prompt without room."""
        if not self.prompt:
            raise RequestError("the prompt is empty; it needs at least one token")
        for index, token in enumerate(self.prompt):
            if not isinstance(token, int) or not 0 <= token < vocab:
                raise RequestError(f"token {index} of the prompt is {token!r}; ids are whole numbers below {vocab}")
        for token in self.sampling.logit_bias:
            if not 0 <= token < vocab:
                raise RequestError(f"logit_bias names token {token}; ids are whole numbers below {vocab}")
        if self.max_tokens is not None and (not isinstance(self.max_tokens, int) or self.max_tokens < 1):
            raise RequestError(f"max_tokens is {self.max_tokens!r}; it has to be a whole number of at least 1")
        if self.logprobs is not None and not 0 <= self.logprobs <= MOST_ALTERNATIVES:
            raise RequestError(f"logprobs is {self.logprobs!r}; from 0 to {MOST_ALTERNATIVES} alternatives are given")
        if self.seconds is not None and not self.seconds > 0:
            raise RequestError(f"seconds is {self.seconds!r}; it has to be more than 0, or absent for no limit")
        if len(self.prompt) + (self.pooling is None) > context:
            raise ContextError(
                f"the prompt has {len(self.prompt)} tokens, but the context holds {context} and the answer needs at "
                f"least one of them; shorten the prompt to {context - 1} tokens or choose a larger context"
            )


class Sequence:
    """A request under way. Its pages cover at least the positions before `computed`; `context` ends it in any case."""

    def __init__(self, request: Request, context: int) -> None:
        self.request = request
        self.sampler = Sampler(request.sampling, request.constraint() if request.constraint else None)
        self.tokens = list(request.prompt)  # and the answer so far
        self.prompt_likelihoods = [Likelihood(request.prompt[0], None)] if request.prompt_logprobs else []
        self.pool = Pool(request.pooling) if request.pooling else None
        self.likelihoods: list[Likelihood] = []  # of the answer so far
        self.computed = 0  # positions whose keys and values are in `pages`
        self.pages: list[int] = []
        self.drafter = Drafter()
        self.longest = min(len(request.prompt) + (request.max_tokens or context), context)  # that `tokens` may become
        self.cached_tokens = 0  # of the prompt, that did not have to be computed
        self.set_back = False  # it has had to give up its pages
        self.prefill_seconds = 0.0
        self.decode_seconds = 0.0
        self.cancelled = False  # asked for; the engine acts on it between steps
        self.finish_reason: FinishReason | None = None
        self.error: Exception | None = None
        self.deadline: float | None = None  # by the engine's clock
        self.listener: Callable[[], None] | None = None  # told of new tokens and of the end

    @property
    def pending(self) -> int:
        """Tokens whose keys and values have yet to be computed."""
        return len(self.tokens) - self.computed

    @property
    def unread(self) -> bool:
        """Whether there are tokens of the prompt of which more is wanted than that they were computed."""
        if self.pool:
            return self.pool.count < len(self.request.prompt)
        return self.request.prompt_logprobs and len(self.prompt_likelihoods) < len(self.request.prompt)

    def wanted(self, count: int) -> list[int]:
        """Which of the next `count` pending tokens need logits, or states for the pool, 0 being the first of them."""
        if self.pool:
            return [*range(max(0, self.pool.count - self.computed), count)]
        end = self.computed + count
        first = max(self.computed, len(self.prompt_likelihoods) - 1)
        read = range(first, min(end, len(self.request.prompt) - 1)) if self.unread else ()
        return [position - self.computed for position in (*read, *([end - 1] if end == len(self.tokens) else []))]

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.request.prompt)

    @property
    def decodes(self) -> bool:
        """Whether it has begun its answer and lacks nothing but the next token."""
        return self.generated > 0 and self.pending == 1

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    def spend(self, seconds: float) -> None:
        """Account for a step: what comes before the first token of the answer is prefill, the rest is decoding."""
        if self.generated:
            self.decode_seconds += seconds
        else:
            self.prefill_seconds += seconds

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=len(self.request.prompt),
            cached_tokens=self.cached_tokens,
            completion_tokens=self.generated,
            prefill_seconds=self.prefill_seconds,
            decode_seconds=self.decode_seconds,
        )
