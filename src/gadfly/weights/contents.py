"""What is in a model's files, before anybody has understood it: for models that Gadfly runs, and for others too.

It lists; what a tensor is for, and whether this is a model at all, is found out by `gadfly.weights.load`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gadfly.errors import UnsupportedError
from gadfly.weights.gguf import GGUF
from gadfly.weights.grok_release import Float32Tensor, Release, open_release
from gadfly.weights.hf_model import read_config
from gadfly.weights.safetensors_folder import INDEX, SafetensorsFolder

__all__ = ["Contents", "TensorEntry", "read_contents"]


@dataclass(frozen=True)
class TensorEntry:
    """`format` and `shape` are in the words of the file; `size` is in bytes, of all its pieces and scales."""

    format: str
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Contents:
    """`architecture` is what the files call it, `metadata` what they say of themselves under the names of GGUF."""

    files: tuple[Path, ...]
    architecture: str | None
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]
    tokenizer: Path | None


def read_contents(path: Path) -> Contents:
    """Of a GGUF file, a Hugging Face folder or one with xAI's release of Grok-1.

    Raises NotFoundError for what is missing, UnsupportedError for other things, ModelFileError for damage.
    """
    if not path.is_dir():
        with GGUF.open(path) as gguf:
            return _of_gguf(gguf)
    if (path / "ckpt-0").exists():
        return _of_release(open_release(path))
    if (path / "config.json").exists():
        with SafetensorsFolder.open(path) as folder:
            return _of_folder(folder)
    raise UnsupportedError(f"{path} is a folder without config.json and ckpt-0; give one with a model in it")


def _of_gguf(gguf: GGUF) -> Contents:
    return Contents(
        files=gguf.paths,
        architecture=_text(gguf.metadata.get("general.architecture")),
        metadata=gguf.metadata,
        tensors={name: TensorEntry(t.format, t.shape, t.size) for name, t in gguf.tensors.items()},
        tokenizer=gguf.paths[0] if "tokenizer.ggml.model" in gguf.metadata else None,
    )


def _of_release(release: Release) -> Contents:
    tensors = {}
    for name in release.layout:
        tensor = release.tensor(name)
        if isinstance(tensor, Float32Tensor):
            tensors[name] = TensorEntry("F32", tensor.array.shape, tensor.array.nbytes)
        else:
            tensors[name] = TensorEntry("I8", tensor.codes.shape, tensor.codes.nbytes + tensor.scales.nbytes)
    payload = (release.folder / "ckpt-0" / tensor.file_name for tensor in release.layout.values())
    return Contents(
        files=(*payload, *_present(release.folder, "config.json", "tokenizer.model")),
        architecture="grok1",
        metadata={"general.license": "apache-2.0"},
        tensors=tensors,
        tokenizer=release.tokenizer_path,
    )


def _of_folder(folder: SafetensorsFolder) -> Contents:
    config = read_config(folder.folder / "config.json", folder.folder)
    names = config.get("architectures")
    tensors = {name: TensorEntry(t.dtype, t.shape, t.size) for name, t in folder.tensors.items()}
    for name, pieces in folder.pieces.items():
        tensors[name] = TensorEntry(pieces[0].dtype, (len(pieces), *pieces[0].shape), sum(t.size for t in pieces))
    tokenizers = _present(folder.folder, "tokenizer.json", "tokenizer.model")
    return Contents(
        files=(*folder.paths, *_present(folder.folder, INDEX, "config.json"), *tokenizers),
        architecture=_text(names[0]) if isinstance(names, list) and names else None,
        metadata={},
        tensors=tensors,
        tokenizer=next(iter(tokenizers), None),
    )


def _present(folder: Path, *names: str) -> tuple[Path, ...]:
    return tuple(folder / name for name in names if (folder / name).is_file())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
