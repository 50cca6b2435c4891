"""Whether models may be trained on what a model has said, as far as its licence speaks of that. No legal advice.

Some licences bind what a model says: Grok-2's and Llama 2's and 3's forbid that other models be trained on it, and so
do the terms of the services that conversations are imported from. Others set conditions. Apache-2.0 and MIT say nothing
of outputs, which are then free. The table holds the licences of our catalogue and those that are often met; what is not
in it counts as unknown, and is left out unless it is asked for.
"""

from dataclasses import dataclass
from typing import Literal

from gadfly.chat.values import Provenance

__all__ = ["Verdict", "training_verdict"]

Training = Literal["free", "conditions", "forbidden", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """`training` on the outputs is free, bound to conditions, forbidden or unknown; `why` says so in a sentence."""

    training: Training
    why: str


_FREE = Verdict("free", "the licence says nothing of outputs")
_LICENCES = {  # in lower case, without what follows a space
    "apache-2.0": _FREE,
    "mit": _FREE,
    "bsd-3-clause": _FREE,
    "cc0-1.0": _FREE,
    "cc-by-4.0": _FREE,
    "licenseref-grok-2-community": Verdict(
        "forbidden", "Grok 2's licence allows training of Grok 2 alone on its outputs"
    ),
    "llama2": Verdict("forbidden", "Llama 2's licence allows training of Llama models alone on its outputs"),
    "llama3": Verdict("forbidden", "Llama 3's licence allows training of Llama models alone on its outputs"),
    "llama3.1": Verdict("conditions", "a model trained on its outputs has to have Llama at the beginning of its name"),
    "llama3.2": Verdict("conditions", "a model trained on its outputs has to have Llama at the beginning of its name"),
    "llama3.3": Verdict("conditions", "a model trained on its outputs has to have Llama at the beginning of its name"),
    "gemma": Verdict("conditions", "a model trained to behave like Gemma on its outputs is under Gemma's terms itself"),
}
_SOURCES = {
    "chatgpt": Verdict("forbidden", "OpenAI's terms forbid the use of outputs for models that compete with theirs"),
    "claude": Verdict("forbidden", "Anthropic's terms forbid the use of outputs for models that compete with theirs"),
}
_USER = Verdict("free", "the user wrote it")


def training_verdict(provenance: Provenance | None) -> Verdict:
    """On an answer of that provenance; None: the user wrote it."""
    if provenance is None:
        return _USER
    if provenance.source in _SOURCES:
        return _SOURCES[provenance.source]
    licence = (provenance.licence or "").strip().lower()
    if licence in _LICENCES:
        return _LICENCES[licence]
    return Verdict("unknown", f"what {provenance.licence or 'a model without a licence'} allows is not known here")
