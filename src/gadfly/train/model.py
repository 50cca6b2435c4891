"""A whole model that was trained, as a Hugging Face folder: float32 safetensors, and what its base had beside them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from gadfly.convert.convert import Wanted, convert_model
from gadfly.hub.progress import Silent
from gadfly.weight import Plain, Weight
from gadfly.weights.disk import replacing
from gadfly.weights.model_file import ModelFile

__all__ = ["write_model"]

FACTS = "gadfly.json"


def write_model(folder: Path, base: ModelFile, learnt: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a folder that does not exist yet: the base with what was learnt, by path. `facts` say where it came from.

    Raises CapacityError if the disk is too small, ModelFileError if the folder cannot be written.
    """
    new: dict[int, Weight] = {id(base.weights[path]): Plain(tensor.float().numpy()) for path, tensor in learnt.items()}
    weights = base.weights.map(lambda weight: new.get(id(weight), weight))  # what is tied stays so
    model = replace(base, weights=weights, release=lambda: None, files=())
    convert_model(model, json.dumps(facts), folder, Wanted("f32"), 1, Silent())
    with replacing(folder / FACTS) as file:
        file.write((json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
