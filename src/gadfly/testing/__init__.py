"""Public fakes, small enough to reason about and strict enough to catch mistakes.

`models` has scripted and tiny real ones; `answers` stands in for a whole `LLM` where only events matter, as behind an
API. Nothing here is used outside tests, but tests of programs built on Gadfly may use all of it.
"""

from gadfly.testing.answers import ScriptedAnswers
from gadfly.testing.models import (
    ByteTokenizer,
    ScriptedModel,
    noise,
    random_adapter,
    random_weights,
    reciting,
    scripted_engine,
    tiny_spec,
    tiny_specs,
)

__all__ = [
    "ByteTokenizer",
    "ScriptedAnswers",
    "ScriptedModel",
    "noise",
    "random_adapter",
    "random_weights",
    "reciting",
    "scripted_engine",
    "tiny_spec",
    "tiny_specs",
]
