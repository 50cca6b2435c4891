"""A model that lies in a repository of a hub, opened before its weights are here.

Shapes come from what is small: a Grok-1 is known without looking, of safetensors files the headers are fetched. Every
weight is `Deferred`: the first who asks for its numbers has its file fetched. Which files a tensor of the target needs
is told by `files_of`, so that they can be discarded after it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from struct import unpack

from gadfly.arch import grok1
from gadfly.arch.grok1_release import Hyperparameters, read_hyperparameters, release_layout
from gadfly.convert.fetched import Fetched
from gadfly.convert.surroundings import KEPT_FILES
from gadfly.errors import DownloadError, UnsupportedError
from gadfly.hub.progress import Progress
from gadfly.names import NameTable
from gadfly.weight import Deferred, Weight
from gadfly.weights.disk import writing
from gadfly.weights.export import OutTensor
from gadfly.weights.grok_model import model_of, read
from gadfly.weights.grok_release import Release
from gadfly.weights.hf_model import FolderTensors, model_in
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors import LONGEST_HEADER, Safetensors
from gadfly.weights.safetensors_folder import SafetensorsFolder

__all__ = ["Remote", "open_remote"]

FIRST = "ckpt-0/tensor00000_000"  # a Grok-1 in xAI's own format has it
SUFFIX = ".safetensors"


class Remote:
    """`model` is what `open_model` would give if everything were here; `files_of` a tensor, by name."""

    def __init__(self, model: ModelFile, names: NameTable, places: Callable[[str], str], fetched: Fetched) -> None:
        self.model = model
        self._names = names
        self._places = places
        self._fetched = fetched

    def need(self, tensors: Iterable[OutTensor]) -> None:
        for tensor in tensors:
            self._fetched.need(self.files_of(tensor))

    def done(self, tensors: Iterable[OutTensor]) -> None:
        for tensor in tensors:
            self._fetched.done(self.files_of(tensor))

    def files_of(self, tensor: OutTensor) -> set[str]:
        entry = self._names.entry(tensor.path)
        if entry is None:  # it belongs to the spec, and was never in a file of its own
            return set()
        stack = len(tensor.parts) if tensor.expert is None else tensor.expert + 1
        return {self._places(name) for name in entry.names(stack)}


def open_remote(fetched: Fetched, tokenizer: Path | None, progress: Progress) -> Remote:
    """Raises UnsupportedError for a repository with neither kind of files, DownloadError, ModelFileError."""
    if FIRST in fetched.files:
        return _grok1(fetched, tokenizer)
    if "config.json" in fetched.files and any(name.endswith(SUFFIX) for name in fetched.files):
        return _folder(fetched, progress)
    raise UnsupportedError("the repository has neither safetensors with a config.json nor a Grok-1; nothing to convert")


def _grok1(fetched: Fetched, tokenizer: Path | None) -> Remote:
    config = fetched.small("config.json") if "config.json" in fetched.files else None
    known = read_hyperparameters(config) if config else Hyperparameters()
    if "tokenizer.model" in fetched.files:
        tokenizer = fetched.small("tokenizer.model")
    layout = {tensor.name: f"ckpt-0/{tensor.file_name}" for tensor in release_layout(known)}
    if missing := sorted(set(layout.values()) - fetched.files.keys()):
        raise DownloadError(f"the repository is no whole Grok-1: {missing[0]} and {len(missing) - 1} more are missing")
    release = Release(fetched.folder, known, tokenizer)

    def deferred(path: str, shape: tuple[int, ...]) -> Deferred:
        def load() -> Weight:
            entry = grok1.RELEASE_NAMES.entry(path)
            assert entry is not None, path
            fetched.here(layout[entry.name])
            return read(release, path)

        return Deferred(shape, load)

    model = model_of(release, deferred)
    return Remote(model, grok1.RELEASE_NAMES, layout.__getitem__, fetched)


def _folder(fetched: Fetched, progress: Progress) -> Remote:
    """Its skeleton: small files as they are, and of tensor files the headers, with nothing but a hole behind them."""
    names = sorted(name for name in fetched.files if name.endswith(SUFFIX) and "/" not in name)
    for name in ("config.json", *KEPT_FILES):
        if name in fetched.files:
            fetched.small(name)
    skeleton = fetched.folder / "headers"
    skeleton.mkdir(exist_ok=True)
    progress.note(f"reading the headers of {len(names)} files")
    for name in names:
        _hollow(fetched, name, skeleton / name)
    tensors = DeferredTensors(SafetensorsFolder.open(skeleton), fetched)
    model = model_in(fetched.folder, tensors, lambda: None)
    return Remote(model, model.page.hf.names, tensors.places.__getitem__, fetched)


def _hollow(fetched: Fetched, name: str, path: Path) -> None:
    size = fetched.files[name].size
    (length,) = unpack("<Q", fetched.begin(name, 8))
    if size is None or not 0 < length <= min(LONGEST_HEADER, size - 8):
        raise DownloadError(f"{name} says that its header has {length} bytes; it is not a safetensors file")
    with writing(path), path.open("wb") as file:
        file.write(fetched.begin(name, 8 + length))
        file.truncate(size)


class DeferredTensors(FolderTensors):
    """Tensors whose files are fetched when their numbers are wanted; what they are is read from hollow ones."""

    def __init__(self, hollow: SafetensorsFolder, fetched: Fetched) -> None:
        super().__init__(hollow)
        if hollow.pieces:
            raise UnsupportedError(
                f"{next(iter(hollow.pieces))!r} comes in pieces, each in a file of its own; fetch the whole repository "
                "and convert its folder"
            )
        self.fetched = fetched
        self.places = hollow.file_of

    def weight(self, name: str) -> Deferred:  # type: ignore[override]
        shape = self.files.tensors[name].shape

        def load() -> Weight:
            path = self.fetched.here(self.places[name])
            file = Safetensors.open(path)
            if file.tensors.get(name) != self.files.tensors[name]:
                raise DownloadError(f"{path.name} changed on its way: tensor {name!r} is another one; run this again")
            return file.weight(name)

        return Deferred(shape, load)
