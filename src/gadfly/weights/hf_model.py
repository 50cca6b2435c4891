"""From a Hugging Face folder to a spec and its weights: config.json and safetensors, none copied, nothing executed.

    FOLDER/config.json       hyperparameters; its "architectures" says which page of `gadfly.arch` reads them
    FOLDER/*.safetensors     tensors, see `safetensors_folder`
    FOLDER/tokenizer*        see `tokenizer_files`; may be missing

An int8 matrix `NAME.weight`, (out, in), has bfloat16 scales beside it, `NAME.weight_scale`, (out, groups): each holds
for in / groups neighbouring columns. That is how `gadfly convert --as int8` keeps Grok-1 without loss.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gadfly.arch import Config, Page, page_for
from gadfly.errors import ModelFileError
from gadfly.weight import Int8, Joined, Plain, Quantised, Stored, Weights
from gadfly.weights.assemble import Tensors, assemble
from gadfly.weights.disk import inside, map_file
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors_folder import SafetensorsFolder
from gadfly.weights.tokenizer_files import find_tokenizer

__all__ = ["SCALE", "FolderTensors", "model_in", "named_page", "open_folder", "read_config"]

LARGEST_CONFIG = 2**24  # bytes
SCALE = "_scale"  # behind the name of an int8 matrix


def open_folder(folder: Path) -> ModelFile:
    """Open a folder with a config.json. Raises ModelFileError or UnsupportedError, naming what is wrong."""
    files = SafetensorsFolder.open(folder)
    return replace(model_in(folder, FolderTensors(files), files.release), files=files.paths)


def model_in(folder: Path, tensors: Tensors, release: Callable[[], None]) -> ModelFile:
    """What `folder` says of a model whose tensors may lie elsewhere. Raises as `open_folder`."""
    values = read_config(folder / "config.json", folder)
    config = Config(str(folder / "config.json"), values)
    page = named_page(config)
    spec = page.spec(config)
    found = find_tokenizer(folder)
    weights = assemble(tensors, page.hf, spec)
    if config.flag("tie_word_embeddings", False):  # then the files may hold the same table twice
        weights = Weights({**{path: weights[path] for path in weights}, "output": weights["embedding"]})
    return ModelFile(
        path=folder,
        page=page,
        spec=spec,
        weights=weights,
        metadata={"config": values} | ({} if found.template is None else {"tokenizer.chat_template": found.template}),
        tokenizer=found.tokenizer,
        release=release,
    )


def named_page(config: Config) -> Page:
    """The page that a config.json names."""
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise config.error("architectures", "a list of one name, such as LlamaForCausalLM")
    return page_for(config, names[0])


def read_config(path: Path, folder: Path) -> Mapping[str, Any]:
    """The object in a JSON file of the folder."""
    mapped = map_file(inside(folder, path), "a config.json")
    if len(mapped) > LARGEST_CONFIG:
        raise ModelFileError(f"{path} has {len(mapped)} bytes; expected at most {LARGEST_CONFIG}")
    try:
        values = json.loads(bytes(mapped))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} cannot be read as JSON: {str(error)[:80]}; fetch it again") from error
    if not isinstance(values, dict):
        raise ModelFileError(f"{path} holds no object; expected the hyperparameters of a model, by name")
    return values


class FolderTensors:
    """A folder's tensors, as `assemble` reads them."""

    def __init__(self, files: SafetensorsFolder) -> None:
        self.files = files
        self.source = str(files.folder)
        self.scales = {
            name + SCALE
            for name, tensor in files.tensors.items()
            if tensor.dtype == "I8" and name + SCALE in files.tensors
        }

    def names(self) -> Iterable[str]:
        return [name for name in (*self.files.tensors, *self.files.pieces) if name not in self.scales]

    def weight(self, name: str) -> Stored | Joined:
        if name in self.files.pieces:
            parts = [part for part in self.files.weights(name) if isinstance(part, Plain | Quantised)]
            if len(parts) > 1 and len(parts[0].shape) != 2:
                raise ModelFileError(
                    f"{self.source}: {name[:60]!r} comes in {len(parts)} pieces of shape {parts[0].shape}; expected "
                    "pieces of a matrix"
                )
            return parts[0] if len(parts) == 1 else Joined(tuple(parts), axis=0)
        if name + SCALE in self.scales:
            return self._int8(name)
        return self.files.weight(name)

    def _int8(self, name: str) -> Int8:
        codes, scales = self.files.tensors[name], self.files.tensors[name + SCALE]
        if (
            len(codes.shape) != 2
            or scales.dtype != "BF16"
            or scales.shape != (codes.shape[0], groups := scales.size // 2 // max(codes.shape[0], 1))
            or not groups
            or codes.shape[1] % groups
        ):
            raise ModelFileError(
                f"{self.source}: {name[:60]!r} is I8 {codes.shape} with scales {scales.dtype} {scales.shape}; expected "
                "I8 (out, in) with BF16 (out, groups), groups dividing in"
            )
        return Int8(self.files.array(name).T, self.files.array(name + SCALE).T)
