"""Coverage-guided fuzzing of the safetensors reader, by hand: anything but a ModelFileError is a finding.

    pip install atheris numpy safetensors
    PYTHONPATH=src python tests/fuzz/fuzz_safetensors.py CORPUS -max_total_time=300 -rss_limit_mb=1024 -timeout=10

What the reader accepts, the library has to read in the same way. CORPUS is a folder; it is created and given sound
files to start from: tensors, and an index, which is told from them by its first byte.
"""

import json
import sys
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["gadfly"]):
    from gadfly.errors import GadflyError
    from gadfly.weights.safetensors import BITS, Safetensors
    from gadfly.weights.safetensors_folder import INDEX, SafetensorsFolder

import safetensors


def seed(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for dtype, bits in BITS.items():
        header = {
            "__metadata__": {"format": "pt"},
            "a": {"dtype": dtype, "shape": [2, 4], "data_offsets": [0, bits]},
            "b": {"dtype": dtype, "shape": [0, 4], "data_offsets": [bits, bits]},
            "c": {"dtype": "U8", "shape": [], "data_offsets": [bits, bits + 1]},
        }
        text = json.dumps(header).encode()
        (folder / dtype).write_bytes(pack("<Q", len(text)) + text + bytes(bits + 1))
    index = {"metadata": {"total_size": 4}, "weight_map": {"a": "a.safetensors", "c": "a.safetensors"}}
    (folder / "index").write_text(json.dumps(index))


def read_everything(path: Path, data: bytes) -> None:
    with Safetensors.open(path) as file:
        expected = {name: (view["dtype"], view["shape"], view["data"]) for name, view in safetensors.deserialize(data)}
        assert set(file.tensors) == set(expected)
        for name, info in file.tensors.items():
            dtype, shape, content = expected[name]
            assert (info.dtype, list(info.shape)) == (dtype, shape)
            assert data[info.offset : info.offset + info.size] == bytes(content)
            if BITS[dtype] % 8 == 0:
                assert file.array(name).tobytes() == bytes(content)


def main() -> None:
    seed(Path(sys.argv[1]))
    with TemporaryDirectory() as folder:
        path, index = Path(folder) / "a.safetensors", Path(folder) / INDEX

        def one_input(data: bytes) -> None:
            try:
                if data[:1] == b"{":
                    index.write_bytes(data)
                    SafetensorsFolder.open(folder)
                else:
                    path.write_bytes(data)
                    read_everything(path, data)
            except GadflyError as error:
                assert "\n" not in str(error)

        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
