"""A folder of safetensors files that make up one model, as Hugging Face lays them out.

    model.safetensors.index.json    which file holds which tensor; if it is there, only the files that it names count
    *.safetensors                   without an index, all of them
    *-TP-common.safetensors         of a model released in tensor-parallel pieces, as Grok-2 was: whole tensors,
    *-TP-000.safetensors, …         and one piece of each split tensor per rank

A folder is hostile input: every file lies in it and is the one that the others expect. Along which axis pieces are
joined, and what tensors mean, is not known here: see `gadfly.arch`. One file: `safetensors`.
Source: transformers, "Sharded checkpoints"; sgl-project/sglang, models/grok.py, for the pieces.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.weight import Stored
from gadfly.weights.disk import inside, map_file
from gadfly.weights.gguf_cursor import quoted
from gadfly.weights.json_scan import JsonScan
from gadfly.weights.safetensors import MOST_TENSORS, Safetensors, StoredTensor

__all__ = ["INDEX", "SafetensorsFolder"]

INDEX = "model.safetensors.index.json"
LARGEST_INDEX = 2**26  # bytes
MOST_FILES = 4096

_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,200}\.safetensors")
_PART = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.safetensors")
_RANK = re.compile(r".+-TP-(\d{3})\.safetensors")


class SafetensorsFolder:
    """An open model. Whole tensors are in `tensors`, those that came in pieces in `pieces`, by rank; both by name.

    Views of the mapped files keep them mapped as long as they live.
    """

    def __init__(self, folder: Path, files: Mapping[str, Safetensors]) -> None:
        """`files` by name. Raises ModelFileError if a tensor is in two of them, or a rank lacks a piece."""
        self.folder = folder
        self.paths = tuple(file.path for file in files.values())
        self._files: Mapping[str, Safetensors] = dict(files)
        places: dict[str, dict[int | None, str]] = {}  # the file that holds each piece, by rank; None: it is whole
        for file_name, file in files.items():
            match = _RANK.fullmatch(file_name)
            rank = int(match[1]) if match else None
            for name in file.tensors:
                others = places.setdefault(name, {})
                if rank in others or None in others or (others and rank is None):
                    raise ModelFileError(
                        f"{file.path}: tensor {quoted(name)} is also in {next(iter(others.values()))}; the files do "
                        "not belong together, fetch the model into an empty folder"
                    )
                others[rank] = file_name
        ranks = {
            name: {rank: file for rank, file in found.items() if rank is not None}
            for name, found in places.items()
            if None not in found
        }
        _check_ranks(folder, ranks)
        self.file_of: Mapping[str, str] = MappingProxyType(
            {name: found[None] for name, found in places.items() if None in found}
        )
        self._whole = {name: found[None] for name, found in places.items() if None in found}
        self._ranks = {name: [found[rank] for rank in sorted(found)] for name, found in ranks.items()}
        self.tensors: Mapping[str, StoredTensor] = MappingProxyType(
            {name: files[file].tensors[name] for name, file in self._whole.items()}
        )
        self.pieces: Mapping[str, tuple[StoredTensor, ...]] = MappingProxyType(
            {name: tuple(files[file].tensors[name] for file in found) for name, found in self._ranks.items()}
        )
        for name, stored in self.pieces.items():
            if len({(piece.dtype, piece.shape) for piece in stored}) > 1:
                raise ModelFileError(
                    f"{folder}: the pieces of tensor {quoted(name)} differ in dtype or shape; fetch the model again"
                )

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open all files and read their headers; the data is not touched.

        Raises NotFoundError if the folder holds no model or a part of it is missing, UnsupportedError for dtypes not
        known here, ModelFileError for what is damaged, surplus, contradicts the index or lies outside of the folder.
        """
        folder = Path(folder)
        try:
            present = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        except FileNotFoundError:
            raise NotFoundError(f"{folder} does not exist; give a folder with .safetensors files") from None
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{folder} cannot be read as a folder: {error}; check the path") from error
        index = _read_index(folder) if INDEX in present else None
        names = sorted(set(index.values())) if index is not None else [n for n in present if _NAME.fullmatch(n)]
        if not names:
            raise NotFoundError(f"{folder} holds no .safetensors files; give the folder of a Hugging Face model")
        if len(names) > MOST_FILES:
            raise ModelFileError(f"{folder} holds {len(names)} .safetensors files; expected at most {MOST_FILES}")
        _check_parts(folder, names, present)
        files = {}
        for name in names:
            inside(folder, folder / name)
            files[name] = Safetensors.open(folder / name)
        if index is not None:
            _check_index(folder, index, files)
        return cls(folder, files)

    def weight(self, name: str) -> Stored:
        """A whole tensor as a view; raises as `Safetensors.weight` does."""
        return self._file(name).weight(name)

    def array(self, name: str) -> NDArray[Any]:
        """A whole tensor as a view, whatever its dtype; raises as `Safetensors.array` does."""
        return self._file(name).array(name)

    def weights(self, name: str) -> list[Stored]:
        """A tensor as its pieces in the order of ranks; a whole one is its only piece."""
        if name in self._ranks:
            return [self._files[file].weight(name) for file in self._ranks[name]]
        return [self.weight(name)]

    def release(self) -> None:
        """Give the pages read so far back to the system; views stay valid."""
        for file in self._files.values():
            file.release()

    def close(self) -> None:
        """Let go of the files. They stay mapped until the last view taken from them is gone."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _file(self, name: str) -> Safetensors:
        if name in self._ranks:
            raise UnsupportedError(
                f"{self.folder}: tensor {quoted(name)} comes in {len(self._ranks[name])} pieces; expected a whole one"
            )
        if name not in self._whole:
            raise ModelFileError(
                f"{self.folder}: there is no tensor {quoted(name)}; is the architecture the right one?"
            )
        return self._files[self._whole[name]]


def _read_index(folder: Path) -> dict[str, str]:
    """The file of every tensor. A file is a plain name: what leads anywhere else is refused."""
    path = folder / INDEX
    inside(folder, path)
    mapped = map_file(path, "the index of a model")
    if len(mapped) > LARGEST_INDEX:
        raise ModelFileError(f"{path} has {len(mapped)} bytes; expected at most {LARGEST_INDEX}")
    try:
        scan = JsonScan(path, str(memoryview(mapped), "utf-8"), "the index")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} is not UTF-8 at offset {error.start}; fetch it again") from None
    index: dict[str, str] | None = None
    for member in scan.members("the index", 64):
        if member != "weight_map":
            scan.skip(quoted(member))
            continue
        index = {}
        for name in scan.members("weight_map", MOST_TENSORS):
            file = scan.string(f"weight_map {quoted(name)}")
            if not _NAME.fullmatch(file):
                raise ModelFileError(
                    f"{path}: tensor {quoted(name)} is said to lie in {quoted(file)}; expected the plain name of a "
                    ".safetensors file in this folder"
                )
            index[name] = file
    scan.end()
    if not index:
        raise scan.error("the index names no tensors in a weight_map")
    return index


def _check_index(folder: Path, index: Mapping[str, str], files: Mapping[str, Safetensors]) -> None:
    for name, file_name in index.items():
        if name not in files[file_name].tensors:
            raise ModelFileError(
                f"{folder / file_name}: tensor {quoted(name)} is missing, but {INDEX} says that it is here; "
                "fetch both again"
            )
    for file_name, file in files.items():
        for name in file.tensors:
            if index.get(name) != file_name:
                raise ModelFileError(
                    f"{file.path}: tensor {quoted(name)} is here, but {INDEX} does not say so; fetch both again"
                )


def _check_parts(folder: Path, names: list[str], present: list[str]) -> None:
    """All files that are named are there, and of files that count themselves all parts."""
    if missing := sorted(set(names) - set(present)):
        raise NotFoundError(f"{folder / missing[0]}: this file of the model is missing; fetch it again")
    counted = {(match["stem"], match["parts"]) for match in map(_PART.fullmatch, names) if match}
    for stem, parts in counted:
        for part in range(1, int(parts) + 1):
            name = f"{stem}-{part:05}-of-{parts}.safetensors"
            if name not in names:
                raise NotFoundError(
                    f"{folder / name}: this part of the model is missing; put all {int(parts)} parts into one folder"
                )


def _check_ranks(folder: Path, ranks: Mapping[str, Mapping[int, str]]) -> None:
    """Every split tensor has a piece of every rank, from 0 on without a gap."""
    count = 1 + max((rank for found in ranks.values() for rank in found), default=-1)
    for name, found in ranks.items():
        for rank in range(count):
            if rank not in found:
                raise ModelFileError(
                    f"{folder}: tensor {quoted(name)} has no piece of rank {rank}, of {count}; a -TP-{rank:03} file is "
                    "missing or incomplete, fetch it again"
                )
