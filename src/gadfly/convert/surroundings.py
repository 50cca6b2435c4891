"""What a target holds beside tensors: metadata of a GGUF file, the small files of a Hugging Face folder.

What the source says of itself goes along: its tokenizer and chat template, its licence, and where the target is of the
source's own kind, everything.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from gadfly.arch.decoder import typical
from gadfly.arch.describe import describe_gguf
from gadfly.arch.rope import describe_scaling, scaling_keys
from gadfly.text.gguf_keys import gguf_keys
from gadfly.text.hugging_face_files import hugging_face_files
from gadfly.weights.disk import small_files
from gadfly.weights.gguf_metadata import Value
from gadfly.weights.load import ModelFile
from gadfly.weights.prepared import LAYOUTS
from gadfly.weights.tokenizer_files import TOKENIZER_FILES

__all__ = ["FILE_TYPE", "KEPT_FILES", "Entries", "file_type", "folder_files", "gguf_metadata"]

Entries = dict[str, Value | np.generic]

# What llama.cpp calls a file by the format of most of its weights (llama.h, llama_ftype).
FILE_TYPES = {
    "F32": 0,
    "F16": 1,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q8_0": 7,
    "Q5_0": 8,
    "Q5_1": 9,
    "Q2_K": 10,
    "Q3_K": 12,
    "Q4_K": 15,
    "Q5_K": 17,
    "Q6_K": 18,
    "IQ4_NL": 25,
    "IQ4_XS": 30,
    "BF16": 32,
}
FILE_TYPE = "general.file_type"
OF_THE_FILE = (FILE_TYPE, "general.quantization_version", "general.alignment", LAYOUTS)  # not of the model
KEPT_FILES = ("LICENSE", "LICENSE.txt", "generation_config.json", *TOKENIZER_FILES)


def file_type(format_name: str) -> np.uint32:
    """The value of FILE_TYPE for a file whose weights are mostly in this format."""
    return np.uint32(FILE_TYPES[format_name])


def gguf_metadata(model: ModelFile) -> Entries:
    """All keys of a GGUF file; FILE_TYPE is open until the formats of its tensors are chosen."""
    stated: Entries = {"general.quantization_version": np.uint32(2), FILE_TYPE: np.uint32(0)}
    if "general.architecture" in model.metadata:  # it comes from such a file
        # A rope is stretched by keys or by a tensor; by both, llama.cpp would do it twice.
        keys, tensors = scaling_keys(typical(model.spec).rope), model.page.tensors(model.spec)
        dropped = f"{model.page.gguf_name}.rope.scaling." if "spec.rope_scaling" in tensors else None
        kept = [key for key in model.metadata if key not in OF_THE_FILE and not (dropped and key.startswith(dropped))]
        stretched = {f"{model.page.gguf_name}.{key}": value for key, value in keys.items()}
        return {**{key: model.metadata[key] for key in kept}, **stretched, **stated}
    described: Entries = {"general.architecture": model.page.gguf_name, "general.type": "model"}
    described["tokenizer.ggml.model"] = "none"  # unless there is one: llama.cpp wants to be told
    described["general.name"] = model.path.resolve().name
    if isinstance(licence := model.metadata.get("general.license"), str):
        described["general.license"] = licence
    return {**described, **stated, **describe_gguf(model.page, model.spec), **tokenizer(model)}


def folder_files(model: ModelFile, dtype: str) -> dict[str, bytes]:
    """By name. `dtype` is what config.json calls that of most weights."""
    tied = model.weights["output"] is model.weights["embedding"]
    config = model.metadata.get("config", {})
    said: Mapping[str, Any] = config if config.get("architectures") == [model.page.hf_name] else {}
    described = {
        "architectures": [model.page.hf_name],
        "model_type": model.page.model_type,
        **model.page.describe(model.spec),
        **({} if said else describe_scaling(typical(model.spec).rope)),
    }
    config = {**described, **said, "tie_word_embeddings": tied, "torch_dtype": dtype}
    config.pop("dtype", None)
    files = {"config.json": (json.dumps(config, indent=2) + "\n").encode()}
    return {**files, **(small_files(model.path, KEPT_FILES) if model.path.is_dir() else tokenizer_files(model))}


def tokenizer(model: ModelFile) -> Entries:
    if model.tokenizer is None:
        return {}
    template = model.metadata.get("tokenizer.chat_template")
    return dict(gguf_keys(model.tokenizer, template if isinstance(template, str) else None))


def tokenizer_files(model: ModelFile) -> dict[str, bytes]:
    """Of a GGUF file."""
    return hugging_face_files(model.metadata) if model.tokenizer is not None else {}
