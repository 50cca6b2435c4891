"""A run on disk: what is learnt so far, what optimiser and objective remember, and which run it is of.

One file, whose metadata says the rest. It is replaced whole or not at all, so that a full disk or a power cut leaves
the one before. Several processes write a folder with a file each, all that they hold, and it counts when its mark is
there; then the one before goes. Any number of processes goes on from either.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import torch
from torch import Tensor

from gadfly.errors import ModelFileError, RequestError
from gadfly.train.group import Group
from gadfly.train.training import Training
from gadfly.weights.disk import replacing, writing
from gadfly.weights.safetensors import Safetensors
from gadfly.weights.safetensors_writer import write_safetensors

__all__ = ["identity", "learnt", "resume", "save"]

FILE = "checkpoint.safetensors"
PARTS = "step-*"
FILES = "*.safetensors"
MARK = "run.json"


def identity(*parts: object) -> str:
    """What a run depends on, in a digest: a checkpoint of another recipe or other data is no place to go on from."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def save(folder: Path, training: Training, run: str) -> None:
    """Raises CapacityError if the disk is full; the checkpoint before is still there then."""
    if training.group is not None:
        _save_parts(folder, training, run, training.group)
        return
    arrays = {name: tensor.cpu().float().contiguous().numpy() for name, tensor in training.state().items()}
    write_safetensors(
        folder / FILE,
        {name: ("F32", array.shape, np.atleast_1d(array)) for name, array in arrays.items()},
        {"run": run, "step": str(training.step)},
    )
    _remove(folder.glob(PARTS))


def resume(folder: Path, training: Training, run: str) -> bool:
    """Bring a training to where its last checkpoint was; False if there is none.

    Raises RequestError if it is one of another run, ModelFileError if it is damaged.
    """
    found = [folder / FILE] if (folder / FILE).exists() else []
    found += [mark.parent for mark in folder.glob(f"{PARTS}/{MARK}")]
    if not found:
        return False
    facts = {path: _facts(path) for path in found}
    path = max(found, key=lambda one: facts[one][0])
    step, of = facts[path]
    if of != run:
        raise RequestError(
            f"{path} belongs to a run with another recipe, data or model; choose another folder, or delete it to "
            "begin anew"
        )
    if path.is_dir() or training.group is not None:
        tensors = training.room(step)
        _load(path, tensors, alone=training.group is None)
        training.restore(step, tensors)
        return True
    with Safetensors.open(path) as file:
        expected = training.names(step)
        if set(file.tensors) != expected:
            raise ModelFileError(f"{path} does not hold what this run needs; delete it to begin anew")
        training.restore(step, {name: torch.from_numpy(np.array(file.array(name))) for name in expected})
    return True


def learnt(folder: Path, training: Training) -> dict[str, Tensor]:
    """What a training has learnt, on the processor; that of several processes as it was saved last."""
    parameters = training.trainable.parameters
    if training.group is None:
        return {name: tensor.detach().cpu() for name, tensor in parameters.items()}
    tensors = {name: torch.empty(tensor.shape) for name, tensor in parameters.items()}
    _load(folder / f"step-{training.step}", tensors, alone=True)
    return tensors


def _save_parts(folder: Path, training: Training, run: str, group: Group) -> None:
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter  # takes a second to import
    from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

    path = folder / f"step-{training.step}"
    if training.any((path / MARK).exists()):
        return
    if group.first:
        _remove([path])  # another number of processes may have begun it
        path.mkdir()
    group.wait()
    with writing(path):
        try:
            save_distributed(
                training.state(), storage_writer=HuggingFaceStorageWriter(str(path), save_distributed=True)
            )
        except CheckpointException as error:
            raise next(iter(error.failures.values()))[0] from error
    if group.first:
        with replacing(path / MARK) as file:
            files = len(list(path.glob(FILES)))
            file.write(json.dumps({"run": run, "step": training.step, "files": files}).encode())
        _remove(one for one in (*folder.glob(PARTS), folder / FILE) if one != path)


def _load(path: Path, tensors: dict[str, Tensor], alone: bool) -> None:
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load as load_distributed

    if path.is_dir():
        files = list(path.glob(FILES))
        for one in files:
            Safetensors.open(one).close()  # says what is wrong in one line
        if len(files) != json.loads((path / MARK).read_bytes()).get("files"):
            raise ModelFileError(f"{path} lacks files; delete it to begin anew")
    reader = HuggingFaceStorageReader(str(path if path.is_dir() else path.parent))
    try:
        with catch_warnings(action="ignore", category=UserWarning):  # that one process reads alone is as it is meant
            load_distributed(tensors, storage_reader=reader, no_dist=alone)
    except CheckpointException as error:
        raise ModelFileError(f"{path} does not hold what this run needs; delete it to begin anew") from error


def _facts(path: Path) -> tuple[int, str]:
    """After how many steps it was saved, and of which run it is."""
    try:
        if path.is_dir():
            facts = json.loads((path / MARK).read_bytes())
        else:
            with Safetensors.open(path) as file:
                facts = file.metadata
        return int(facts["step"]), str(facts["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} does not say what it is of; delete it to begin anew") from error


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
