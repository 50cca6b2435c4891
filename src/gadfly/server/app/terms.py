"""What an answer is asked with: a request's terms over those of its chat, over the user's settings.

    terms = resolved(read_terms(fields), chat, settings, default_model)
    request = terms.request(messages)          # for the model

Whatever makes no sense is refused here, before anything is kept.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gadfly.answer.adapters import Adapters
from gadfly.api.adapters import read_adapters
from gadfly.api.fields import Fields
from gadfly.api.sampling import OLLAMA_NAMES, read_sampling
from gadfly.chat.persona import Persona, checked_wit, load_persona
from gadfly.chat.session import ANSWER_TOKENS
from gadfly.chat.store import ChatInfo, Provenance
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, Message
from gadfly.errors import RequestError
from gadfly.settings import Settings

__all__ = ["ALTERNATIVES", "Asked", "Terms", "read_terms"]

ALTERNATIVES = 5  # to each token, that are kept for whoever looks inside
_SEED_LIMIT = 2**31  # of those drawn here: a number that people can type


@dataclass(frozen=True)
class Terms:
    """What a request says of an answer that it wants; None: what the chat says. `tools`: none, or some for sure."""

    model: str | None = None
    persona: str | None = None
    wit: float | None = None
    system: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    max_tokens: int | None = None
    adapters: Mapping[str, float] = field(default_factory=dict)
    tools: bool | None = None

    def over(self, chat: ChatInfo, settings: Settings, default_model: str | None) -> "Asked":
        """With what the chat and the settings say where this does not. Raises RequestError, NotFoundError."""
        model = self.model or chat.model or default_model
        if model is None:
            raise RequestError("no model is here yet; fetch one first", "model")
        persona = load_persona(self.persona or chat.persona or settings.persona)
        wit = self.wit if self.wit is not None else settings.wit if chat.wit is None else chat.wit
        sampling = persona.sampling
        for given in (chat.sampling, self.sampling):
            sampling = read_sampling(Fields(dict(given), "sampling"), sampling, OLLAMA_NAMES) or sampling
        seed = self.seed if self.seed is not None else sampling.seed
        beside = chat.adapters if model == (chat.model or default_model) else {}  # another model has others
        return Asked(
            model,
            persona,
            checked_wit(wit),
            self.system if self.system is not None else chat.system,
            replace(sampling, seed=secrets.randbelow(_SEED_LIMIT) if seed is None else seed),
            self.max_tokens or ANSWER_TOKENS,
            {**beside, **self.adapters},
        )


@dataclass(frozen=True)
class Asked:
    """All that an answer depends on beside the conversation. `system` replaces what the persona would say.

    `tools` are servers and tools of servers that may be offered to the model.
    """

    model: str
    persona: Persona
    wit: float
    system: str | None
    sampling: Sampling
    max_tokens: int = ANSWER_TOKENS
    adapters: Mapping[str, float] = field(default_factory=dict)
    tools: tuple[str, ...] = ()

    @classmethod
    def again(cls, provenance: Provenance, default_model: str | None) -> "Asked":
        """What an answer of this provenance was asked with. Raises NotFoundError if its persona is gone."""
        model = provenance.model or default_model
        if model is None:
            raise RequestError("it is not known which model wrote this")
        persona = load_persona(provenance.persona or "straight")
        given = Fields({**provenance.sampling, "seed": provenance.seed}, "sampling")
        sampling = read_sampling(given, persona.sampling, OLLAMA_NAMES) or persona.sampling
        wit = 0.5 if provenance.wit is None else provenance.wit
        return cls(model, persona, wit, provenance.system, sampling, adapters=provenance.adapters)

    def beside(self, adapters: Adapters) -> "Asked":
        """As a model with these adapters plays it."""
        if not adapters.names:
            return self
        playing = (self.persona.name, self.wit) if self.system is None else (None, None)
        strengths = adapters.strengths(self.adapters, *playing)
        return replace(self, persona=adapters.cast(self.persona), adapters=strengths)

    def request(self, messages: Sequence[Message], prefix: str = "", logprobs: bool = True) -> ChatRequest:
        """An answer to these messages, that begins with `prefix`."""
        asked = ChatRequest(
            tuple(messages),
            self.max_tokens,
            self.sampling,
            logprobs=ALTERNATIVES if logprobs else None,
            truncate=True,
            adapters=self.adapters,
            prefix=prefix,
        )
        if self.system is None:
            return replace(asked, persona=self.persona.name, wit=self.wit)
        system = (Message("system", self.system),) if self.system else ()
        return replace(asked, messages=(*system, *messages), stop=self.persona.stop)

    def dropped(self, count: int) -> int:
        """How many messages of a conversation were left out, where `count` were of all that was to be said."""
        told = len(self.persona.messages(self.wit)) - 1 if self.system is None else 0
        return max(0, count - told)

    def provenance(self, **more: Any) -> Provenance:
        """For the store; `more` is what else is known."""
        sampling = {name: value for name, value in asdict(self.sampling).items() if name != "seed" and value != {}}
        return replace(
            Provenance(
                model=self.model,
                persona=self.persona.name,
                wit=self.wit,
                system=self.system,
                adapters=dict(self.adapters),
                sampling=sampling,
                seed=self.sampling.seed,
            ),
            **more,
        )


def read_terms(fields: Fields) -> Terms:
    """From the JSON of a request. Raises RequestError naming the field."""
    wit = fields.number("wit", 0, 1)
    sampling = fields.json("sampling")
    read_sampling(Fields(dict(sampling), fields.at("sampling")), names=OLLAMA_NAMES)
    return Terms(
        fields.text("model", None, 1000),
        fields.text("persona", None, 100),
        wit,
        fields.text("system", None, 1_000_000),
        sampling,
        fields.whole("seed", -(2**63), 2**63 - 1),
        fields.whole("max_tokens", 1, 1_000_000),
        read_adapters(fields),
        fields.flag("tools", None),
    )
