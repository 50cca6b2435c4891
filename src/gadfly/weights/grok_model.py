"""From xAI's release of Grok-1 to a spec and its weights: views of the mapped files, none copied but the routers."""

from collections.abc import Callable
from pathlib import Path

from gadfly.arch import grok1
from gadfly.weight import Int8, Plain, Weight, Weights
from gadfly.weights.grok_release import Float32Tensor, Release, open_release
from gadfly.weights.model_file import ModelFile

__all__ = ["model_of", "open_grok1", "read"]


def open_grok1(folder: Path) -> ModelFile:
    """Open a folder with `ckpt-0`. Raises ModelFileError for what is damaged, missing or too much."""
    release = open_release(folder)
    return model_of(release, lambda path, _: read(release, path))


def model_of(release: Release, take: Callable[[str, tuple[int, ...]], Weight]) -> ModelFile:
    """The model of a release; `take` gives the weight of a path and shape."""
    folder, spec = release.folder, grok1.release_spec(release.hyperparameters)
    weights = {path: take(path, shape) for path, shape in spec.shapes() if path != "output"}
    return ModelFile(
        path=folder,
        page=grok1.PAGE,
        spec=spec,
        weights=Weights({**weights, "output": weights["embedding"]}),
        metadata={"general.license": "apache-2.0"},
        tokenizer=release.tokenizer_path,
        release=release.release_pages,
        files=tuple(folder / "ckpt-0" / tensor.file_name for tensor in release.layout.values()),
    )


def read(release: Release, path: str) -> Weight:
    entry = grok1.RELEASE_NAMES.entry(path)
    assert entry is not None, path
    tensor = release.tensor(entry.name)
    if isinstance(tensor, Float32Tensor):
        return grok1.arrange_release(path, Plain(tensor.array))
    return Int8(tensor.codes, tensor.scales)
