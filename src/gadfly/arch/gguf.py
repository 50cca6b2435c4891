"""What a GGUF file says about a model, out of what a config.json would say: `keys` as a translation, both ways.

`Config` reads what is written here. Tokenizers, licences and names are the business of whoever writes the file.
"""

from typing import Any

import numpy as np

from gadfly.arch.decoder import SLIDING, typical
from gadfly.arch.keys import GGUF_KEYS
from gadfly.arch.page import Page
from gadfly.arch.rope import rope_keys
from gadfly.spec import ModelSpec

__all__ = ["describe_gguf"]


def describe_gguf(page: Page, spec: ModelSpec) -> dict[str, Any]:
    """Hyperparameters under the keys of a GGUF file: numbers, texts and numpy arrays. "spec." tensors belong to them.

    Raises UnsupportedError for what the page has no words for.
    """
    mixer = typical(spec)
    described = {
        "general.architecture": page.gguf_name,
        f"{page.gguf_name}.attention.value_length": mixer.head_dim,
        **{f"{page.gguf_name}.{key}": value for key, value in rope_keys(mixer.rope).items()},
    }
    for name, value in page.describe(spec).items():
        if name in GGUF_KEYS and value is not None:
            described[f"{page.gguf_name}.{GGUF_KEYS[name]}"] = _value(name, value)
    return described


def _value(name: str, value: Any) -> Any:
    if name == "layer_types":
        return np.array([kind == SLIDING for kind in value])
    return np.array(value, np.int32) if isinstance(value, list) else value
