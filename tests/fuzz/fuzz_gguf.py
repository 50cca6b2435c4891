"""Coverage-guided fuzzing of the GGUF reader, by hand: anything but a ModelFileError is a finding, and so is slowness.

    pip install atheris numpy
    PYTHONPATH=src python tests/fuzz/fuzz_gguf.py CORPUS -max_total_time=300 -rss_limit_mb=1024 -timeout=10

CORPUS is a folder; it is created and given sound files to start from.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["gadfly"]):
    from gadfly.errors import ModelFileError
    from gadfly.quant import FORMATS, decode
    from gadfly.weight import Plain
    from gadfly.weights.gguf import GGUF
    from gadfly.weights.gguf_writer import write_gguf

import numpy as np


def seed(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "numbers": np.arange(3, dtype=np.int32),
        "flags": np.array([True, False]),
        "tokens": ["", "Ġa", "x" * 300],
    }
    scalars = {"text": "llama", "integer": 1, "large": 2**40, "real": 0.5, "flag": True, "general.alignment": 32}
    write_gguf(folder / "metadata.gguf", arrays | scalars, {})
    for name, known in FORMATS.items():
        blocks = np.zeros((2, known.block_bytes), np.uint8)
        tensors = {"a": (name, (2, known.block_size), blocks), "b": (name, (2, 1, known.block_size), blocks)}
        write_gguf(folder / f"{name}.gguf", {}, tensors)


def read_everything(path: Path) -> None:
    with GGUF.open(path) as file:
        for key in file.metadata:
            try:
                file.metadata[key]
            except ModelFileError as error:
                assert "\n" not in str(error)
        for name, info in file.tensors.items():
            weight = file.weight(name)
            assert weight.shape == info.shape
            if isinstance(weight, Plain):
                weight.array.max()
            else:
                assert decode(weight.format, weight.blocks).size == np.prod(weight.shape)


def main() -> None:
    seed(Path(sys.argv[1]))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"

        def one_input(data: bytes) -> None:
            path.write_bytes(data)
            try:
                read_everything(path)
            except ModelFileError as error:
                assert "\n" not in str(error)

        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
