"""A low-rank adapter in a GGUF file, as llama.cpp takes with --lora.

    general.type "adapter" | general.architecture that of the base | adapter.type "lora" | adapter.lora.alpha
    NAME.lora_a (rank, in) and NAME.lora_b (out, rank), where NAME is a matrix of the base; out in the base's order

What PEFT's folder has in gadfly.json is in the key "gadfly.facts", as JSON.
Written by `gadfly.weights.adapter_writer`. Source: llama.cpp, convert_lora_to_gguf.py and src/llama-adapter.cpp.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gadfly.arch import Page
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.spec import ModelSpec
from gadfly.weight import Matrix
from gadfly.weights.gguf import GGUF
from gadfly.weights.low_rank import Adapter, Half, paired

__all__ = ["DOWN", "FACTS", "UP", "read_gguf_adapter", "read_gguf_facts"]

DOWN, UP, FACTS = ".lora_a", ".lora_b", "gadfly.facts"


def read_gguf_adapter(path: Path, page: Page, spec: ModelSpec) -> Adapter:
    """Raises NotFoundError, UnsupportedError or ModelFileError with what is wrong."""
    file = GGUF.open(path)
    if file.metadata.get("general.type") != "adapter" or file.metadata.get("adapter.type") != "lora":
        raise UnsupportedError(f"{path} is no LoRA adapter; general.type and adapter.type have to say that it is one")
    if (made_for := file.metadata.get("general.architecture")) != page.gguf_name:
        raise UnsupportedError(f"{path} was made for the architecture {made_for!r:.40}; the model is {page.gguf_name}")
    pairs = paired(path, _halves(path, file), page.gguf, spec)
    rank = len(next(iter(pairs.values())).down)
    alpha = file.metadata.get("adapter.lora.alpha", 0.0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.number) or not 0 <= alpha <= 1e6:
        raise ModelFileError(f"{path}: adapter.lora.alpha is {alpha!r:.40}; expected a number up to a million")
    return Adapter(pairs, float(alpha) / rank if alpha else 1.0, read_gguf_facts(path))


def read_gguf_facts(path: Path) -> dict[str, Any]:
    """What an adapter says of itself; empty if it was not made by Gadfly."""
    text: Any = GGUF.open(path).metadata.get(FACTS, "{}")
    try:
        facts = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: {FACTS} is no JSON: {error}") from error
    if not isinstance(facts, dict):
        raise ModelFileError(f"{path}: {FACTS} is no JSON object")
    return facts


def _halves(path: Path, file: GGUF) -> Iterator[tuple[str, str, Half, Matrix]]:
    for name in file.tensors:
        half: Half = "down" if name.endswith(DOWN) else "up"
        if not name.endswith((DOWN, UP)):
            raise ModelFileError(f"{path}: {name!r:.100} is no half of a LoRA adapter as llama.cpp writes them")
        yield name, name.removesuffix(DOWN).removesuffix(UP), half, file.weight(name)
