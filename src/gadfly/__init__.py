"""Gadfly: an open, irreverent chatbot that you run on your own computer and build your own on.

    import gadfly
    llm = gadfly.load("smollm2")
    print(llm.chat().send("Who are you?").text)

Importing this package is cheap; numpy and the native code are loaded with the first name that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gadfly.completion import Completion, Sampling, Usage
    from gadfly.errors import GadflyError
    from gadfly.llm import LLM, load
    from gadfly.text import Tokenizer

__all__ = ["LLM", "Completion", "GadflyError", "Sampling", "Tokenizer", "Usage", "load"]

_HOMES = {
    "LLM": "llm",
    "Completion": "completion",
    "GadflyError": "errors",
    "Sampling": "completion",
    "Tokenizer": "text",
    "Usage": "completion",
    "load": "llm",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gadfly' has no attribute {name!r}")
    return getattr(import_module(f"gadfly.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
