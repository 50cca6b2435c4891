"""How text is asked for and what comes back: values shared by the engine, the chat and everything above them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from gadfly.errors import RequestError

__all__ = ["Completion", "FinishReason", "Reads", "Sampling", "Usage"]

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. Defaults leave the model's distribution alone; temperature 0 takes the best token.

    Order: logit_bias, penalties, temperature, top_k, top_p, min_p. Penalties count the `penalty_window` latest tokens,
    prompt included for repetition only. `seed` None draws a fresh one. Raises RequestError for values out of range.
    """

    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0  # divides positive and multiplies negative logits (arXiv 1909.05858)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_window: int = 64
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise RequestError(f"{name} is {value!r}; it has to be a number from {low} to {high}")
        for name in ("top_k", "penalty_window"):
            if not isinstance(getattr(self, name), int):
                raise RequestError(f"{name} is {getattr(self, name)!r}; it has to be a whole number")
        if self.seed is not None and not isinstance(self.seed, int):
            raise RequestError(f"seed is {self.seed!r}; it has to be a whole number, or absent for a fresh one")
        for token, bias in self.logit_bias.items():
            if not isinstance(token, int) or not isinstance(bias, int | float) or not bias < float("inf"):
                raise RequestError(f"logit_bias of {token!r} is {bias!r}; it maps ids to numbers, -inf forbids a token")


_LIMITS = (
    ("temperature", 0, 100),
    ("top_k", 0, 2**31),
    ("top_p", 0, 1),
    ("min_p", 0, 1),
    ("repetition_penalty", 0.01, 100),
    ("presence_penalty", -100, 100),
    ("frequency_penalty", -100, 100),
    ("penalty_window", 0, 2**31),
)


@dataclass(frozen=True)
class Usage:
    """Tokens and seconds that an answer took. `cached_tokens` of the prompt did not have to be computed again."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Completion:
    """A finished answer. `ids` are the generated tokens, without the end-of-turn token that may have stopped them."""

    text: str
    ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage


@dataclass(frozen=True)
class Reads:
    """What experts or layers on disk have cost so far.

    Found and missing are matrices: those in memory, and those to be read.
    """

    found: int
    missing: int
    bytes: int  # read
    reading: float  # seconds in which something was on its way
    waiting: float  # seconds that computing waited for it, as the average thread did
    room: float = 0.0  # share of them that memory has room for
    tokens: int = 0  # computed meanwhile, of prompts and answers
    seconds: float = 0.0  # of all steps
    of: str = "experts"  # or "layers": what the matrices are of

    @property
    def hits(self) -> float:
        """Share that was found in memory."""
        return self.found / max(1, self.found + self.missing)

    @property
    def rate(self) -> float:
        """Bytes per second while something was being read."""
        return self.bytes / self.reading if self.reading else 0.0

    def since(self, before: "Reads") -> "Reads":
        """What has been added to an earlier count."""
        names = [each.name for each in fields(self) if each.name not in ("room", "of")]
        return replace(self, **{name: getattr(self, name) - getattr(before, name) for name in names})
