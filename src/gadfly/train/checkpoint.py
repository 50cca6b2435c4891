"""A run on disk: what is learnt so far, what optimiser and objective remember, and which run it is of.

One file, whose metadata says the rest. It is replaced whole or not at all, so that a full disk or a power cut leaves
the one before.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from gadfly.errors import ModelFileError, RequestError
from gadfly.train.training import Training
from gadfly.weights.safetensors import Safetensors
from gadfly.weights.safetensors_writer import write_safetensors

__all__ = ["identity", "resume", "save"]

FILE = "checkpoint.safetensors"


def identity(*parts: object) -> str:
    """What a run depends on, in a digest: a checkpoint of another recipe or other data is no place to go on from."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def save(folder: Path, training: Training, run: str) -> None:
    """Raises CapacityError if the disk is full; the checkpoint before is still there then."""
    arrays = {name: tensor.cpu().float().contiguous().numpy() for name, tensor in training.state().items()}
    write_safetensors(
        folder / FILE,
        {name: ("F32", array.shape, np.atleast_1d(array)) for name, array in arrays.items()},
        {"run": run, "step": str(training.step)},
    )


def resume(folder: Path, training: Training, run: str) -> bool:
    """Bring a training to where its last checkpoint was; False if there is none.

    Raises RequestError if it is one of another run, ModelFileError if it is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return False
    with Safetensors.open(path) as file:
        if file.metadata.get("run") != run:
            raise RequestError(
                f"{path} belongs to a run with another recipe, data or model; choose another folder, or delete it to "
                "begin anew"
            )
        step = int(file.metadata["step"])
        expected = training.names(step)
        if set(file.tensors) != expected:
            raise ModelFileError(f"{path} does not hold what this run needs; delete it to begin anew")
        training.restore(step, {name: torch.from_numpy(np.array(file.array(name))) for name in expected})
    return True
