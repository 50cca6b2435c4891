"""Coverage-guided fuzzing of the Grok-1 release's reader, by hand: whatever is no GadflyError is a finding.

    pip install atheris numpy
    export PYTHONPATH=src:tests
    python tests/fuzz/fuzz_grok_release.py CORPUS -max_total_time=300 -rss_limit_mb=1024 -timeout=10

What the reader accepts, CPython's unpickler has to read in the same way. CORPUS is a folder; it is created and given
sound files to start from: tensors, and a config.json, which is told from them by its first byte.
"""

import sys
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["gadfly"]):
    from gadfly.arch.grok1_release import Hyperparameters, config_json, read_hyperparameters, release_layout
    from gadfly.errors import GadflyError
    from gadfly.weights.release_pickle import StoredArray, walk

from release_pickles import BFLOAT16, FLOAT32, INT8, Array, dumps, unpickle, weight


def seed(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        for shape in ((6,), (2, 300)):
            (folder / f"float32-{len(shape)}-{core}").write_bytes(dumps(Array(FLOAT32, shape), numpy_core=core))
        for shape in ((4, 3), (2, 4, 1)):
            value = weight(Array(INT8, shape), Array(BFLOAT16, (*shape[:-2], 2, shape[-1])))
            (folder / f"int8-{len(shape)}-{core}").write_bytes(dumps(value, numpy_core=core))
    (folder / "framed").write_bytes(dumps(weight(Array(INT8, (260, 260)), Array(BFLOAT16, (1, 260)))))
    (folder / "config.json").write_text(config_json(Hyperparameters()))


def read_tensor(data: bytes) -> None:
    stored = walk(Path("a"), memoryview(data))
    unpickled = unpickle(data)  # names nothing but what `walk` allows
    if isinstance(stored, StoredArray):
        pairs = [(stored, unpickled)]
    else:
        pairs = [(stored.weight, unpickled[0]), (stored.scales, unpickled[1])]
    for found, array in pairs:
        assert found.shape == array.shape and found.size == array.nbytes
        assert data[found.offset : found.offset + found.size] == array.tobytes()


def main() -> None:
    seed(Path(sys.argv[1]))
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"

        def one_input(data: bytes) -> None:
            try:
                if data[:1] == b"{":
                    config.write_bytes(data)
                    hyperparameters = read_hyperparameters(config)
                    if hyperparameters.num_layers < 100:
                        assert all(prod(tensor.shape) > 0 for tensor in release_layout(hyperparameters))
                else:
                    read_tensor(data)
            except GadflyError as error:
                assert "\n" not in str(error)

        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
