"""What clients may know of a model: the value that every dialect's lists of models are made of."""

from dataclasses import dataclass

__all__ = ["ModelCard"]


@dataclass(frozen=True)
class ModelCard:
    """`created` is in seconds since 1970; `size` counts bytes, `parameters` weights; `digest` is a SHA-256 in hex.

    `capabilities` are Ollama's words: completion, tools, thinking, embedding. `adapters` are the names of those beside
    it, once it is loaded.
    """

    name: str
    created: float
    owner: str = "gadfly"
    size: int = 0
    digest: str = ""
    format: str = ""
    family: str = ""
    parameters: int = 0
    quantization: str = ""
    context: int = 0
    width: int = 0
    licence: str = ""
    template: str = ""
    capabilities: tuple[str, ...] = ("completion",)
    adapters: tuple[str, ...] = ()
