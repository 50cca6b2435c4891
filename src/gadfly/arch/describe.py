"""What a page says of a spec, as the two kinds of files want it: a config.json, and the keys of a GGUF file.

Both are read back by `Config`. Tokenizers, licences and names are the business of whoever writes the file.
"""

from typing import Any

import numpy as np

from gadfly.arch.decoder import SLIDING, typical
from gadfly.arch.keys import GGUF_KEYS
from gadfly.arch.page import Page
from gadfly.arch.rope import describe_scaling, scaling_keys
from gadfly.spec import ModelSpec

__all__ = ["describe_gguf", "describe_json"]


def describe_json(page: Page, spec: ModelSpec) -> dict[str, Any]:
    """A config.json. Raises UnsupportedError for a scaling of rope that it has no words for."""
    return {
        "architectures": [page.hf_name],
        "model_type": page.model_type,
        **page.describe(spec),
        **describe_scaling(typical(spec).rope),
    }


def describe_gguf(page: Page, spec: ModelSpec) -> dict[str, Any]:
    """Hyperparameters by key: numbers, texts and numpy arrays. The page's "spec." tensors belong to them."""
    mixer = typical(spec)
    described = {
        "attention.value_length": mixer.head_dim,
        "rope.dimension_count": mixer.rope.dim,
        **scaling_keys(mixer.rope),
    }
    for name, value in page.describe(spec).items():
        if name in GGUF_KEYS and value is not None:
            described[GGUF_KEYS[name]] = _value(name, value)
    return {f"{page.gguf_name}.{key}": value for key, value in described.items()}


def _value(name: str, value: Any) -> Any:
    return np.array([kind == SLIDING for kind in value]) if name == "layer_types" else value
