"""What lies in files of every format, found out without understanding them."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.weights.contents import TensorEntry, read_contents
from gadfly.weights.gguf_writer import write_gguf

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"


def test_a_gguf_file_even_if_nobody_knows_its_architecture(tmp_path: Path):
    path = tmp_path / "model.gguf"
    write_gguf(path, {"general.architecture": "bee"}, {"wing": ("F32", (2, 3), np.zeros((2, 3), np.float32))})
    contents = read_contents(path)
    assert contents.files == (path,)
    assert contents.architecture == contents.metadata["general.architecture"] == "bee"
    assert contents.tensors == {"wing": TensorEntry("F32", (2, 3), 24)}
    assert contents.tokenizer is None


def test_a_release_folder():
    contents = read_contents(GROK)
    assert len(contents.files) == 39 and all(file.is_file() for file in contents.files)
    assert contents.architecture == "grok1"
    assert contents.tensors["language_model/in_out_embed/embeddings"].format == "F32"
    gate = contents.tensors["transformer/decoder_layer_0/moe/linear/w"]
    assert (gate.format, gate.shape) == ("I8", (8, 96, 272))
    assert gate.size > 8 * 96 * 272  # and the scales
    payload = sum(file.stat().st_size for file in contents.files[:38])
    assert 0 < payload - sum(tensor.size for tensor in contents.tensors.values()) < 1000 * 38  # pickled around


def test_a_hugging_face_folder(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BeeForHoney"]}))
    safetensors.numpy.save_file({"wing": np.zeros((2, 3), np.float16)}, tmp_path / "model-TP-common.safetensors")
    for rank in range(2):
        safetensors.numpy.save_file({"leg": np.zeros((4, 3), np.float32)}, tmp_path / f"model-TP-00{rank}.safetensors")
    contents = read_contents(tmp_path)
    assert contents.architecture == "BeeForHoney"
    assert contents.tensors == {"wing": TensorEntry("F16", (2, 3), 12), "leg": TensorEntry("F32", (2, 4, 3), 96)}
    assert {file.name for file in contents.files} == {file.name for file in tmp_path.iterdir()}


def test_other_folders_and_damaged_ones_are_refused(tmp_path: Path):
    with pytest.raises(UnsupportedError, match="without config"):
        read_contents(tmp_path)
    (tmp_path / "ckpt-0").mkdir()
    with pytest.raises(ModelFileError, match="ckpt-0"):
        read_contents(tmp_path)
