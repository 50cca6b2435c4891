"""How far `gadfly fit` is off: what it predicts beside what is measured, for real files and made-up ones.

    python benchmarks/fit.py [--threads 1,2] [--rounds 3] [--large]

Predicting (a probe of the machine) and measuring take turns, A B B A, so that whatever else the machine does happens to
both; medians count.
Besides the default model there are a mixture of experts in int8, as Grok-1 was released, and with --large a Llama of
1.1 billion parameters in two formats; their weights are noise, which costs nothing less, and they are deleted.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gadfly
from gadfly.arch import grok1_release, llama
from gadfly.evaluate.fit import needs, opened
from gadfly.evaluate.fit_probe import held_formats, probe
from gadfly.evaluate.fit_speed import predict
from gadfly.evaluate.machine import processor
from gadfly.evaluate.speed import Gadfly, measure
from gadfly.quant import FORMATS, encode
from gadfly.spec import Attention, Block, Dense, ModelSpec, PreNorm, Rope
from gadfly.weights.gguf_writer import write_gguf
from gadfly.weights.load import open_model
from gadfly.weights.release_writer import write_release

PROMPT, ANSWER = 512, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.json:
        print(f"{processor()}\n{'':24}threads{'':>12}prefill: said, measured, off{'':>8}decode: said, measured, off")
    with TemporaryDirectory() as folder:
        for name, path in models(Path(folder), given.large):
            for threads in given.threads.split(","):
                row = compare(name, path, int(threads), given.rounds)
                print(json.dumps(row) if given.json else line(row), flush=True)


def line(row: Mapping[str, Any]) -> str:
    shown = f"{row['model']:<24}{row['threads']:>7}"
    for kind in ("prefill", "decode"):
        said, measured = row[f"{kind}_said"], row[f"{kind}_measured"]
        shown += f"  {said:>16.1f} {measured:>9.1f} {said / measured - 1:>+6.0%}"
    return shown


def models(folder: Path, large: bool) -> Iterator[tuple[str, str | Path]]:
    yield "smollm2", "smollm2"
    yield "mixture, int8", write_mixture(folder / "mixture")
    for name in ("Q8_0", "Q4_0") if large else ():
        path = write_llama(folder / f"{name}.gguf", name)
        yield f"llama 1.1B, {name}", path
        path.unlink()


def compare(name: str, path: str | Path, threads: int, rounds: int) -> dict[str, Any]:
    llm = gadfly.load(path, threads=threads)
    version, held = opened(open_model(llm.path)), held_formats()
    kernels = {held[each].kernel for each in version.formats.values()}
    weights = needs(version, held, PROMPT + ANSWER).weights
    subject = Gadfly(llm, PROMPT + ANSWER)
    found: dict[str, list[float]] = {}
    for turn in range(rounds):
        for what in ("said", "measured") if turn % 2 else ("measured", "said"):
            if what == "said":
                fast = predict(version, held, probe(threads, kernels, held, weights), PROMPT)
                speeds = fast.prefill, fast.decode
            else:
                (speed,) = measure([subject], 3, PROMPT, ANSWER)
                speeds = speed.prefill, speed.decode
            for kind, value in zip(("prefill", "decode"), speeds, strict=True):
                found.setdefault(f"{kind}_{what}", []).append(value)
    return {"model": name, "threads": threads, **{key: median(values) for key, values in found.items()}}


def noise(name: str, rows: int, columns: int) -> np.ndarray:
    """Blocks of a matrix that repeats after 64 rows: numbers are told apart by nobody who times them."""
    values = np.random.default_rng(0).normal(scale=columns**-0.5, size=(64, columns)).astype(np.float32)
    return np.resize(encode(name, values), (rows, FORMATS[name].row_bytes(columns)))


def write_llama(path: Path, name: str) -> Path:
    """The shape of TinyLlama."""
    block = Block(Attention(32, 4, 64, Rope(64, 10000.0), 0.125), Dense(5632, "silu"), PreNorm(1e-5))
    spec = ModelSpec(vocab=32000, dim=2048, context=2048, blocks=(block,) * 22, norm_eps=1e-5)
    metadata: Mapping[str, Any] = {
        "general.architecture": "llama",
        "llama.block_count": 22,
        "llama.embedding_length": 2048,
        "llama.feed_forward_length": 5632,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 4,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.context_length": 2048,
        "llama.vocab_size": 32000,
    }
    tensors: dict[str, tuple[str, tuple[int, ...], NDArray[Any]]] = {}
    for where, shape in spec.shapes():
        entry = llama.PAGE.gguf.names.entry(where)
        assert entry is not None
        file_name = entry.name
        if len(shape) == 1:
            tensors[file_name] = ("F32", shape, np.ones(shape, np.float32))
        else:
            tensors[file_name] = (name, shape, noise(name, *shape))
    write_gguf(path, metadata, tensors)
    return path


def write_mixture(folder: Path) -> Path:
    """Twelve layers of eight experts, two for each token: 0.5 billion parameters."""
    shape = grok1_release.Hyperparameters(
        vocab_size=8192,
        sequence_len=2048,
        emb_size=768,
        num_q_heads=6,
        num_kv_heads=2,
        num_layers=12,
        widening_factor=4,
    )
    draw = np.random.default_rng(0)

    def tensors() -> Iterator[tuple[str, Any]]:
        for layout in grok1_release.release_layout(shape):
            if layout.kind == "float32":
                yield layout.name, draw.normal(size=layout.shape).astype(np.float32)
                continue
            *stack, inputs, outputs = layout.shape
            codes = draw.integers(-127, 128, layout.shape, np.int8)
            scale = np.float32(inputs**-0.5 / 73).view(np.uint32) >> 16
            yield layout.name, (codes, np.full((*stack, 1, outputs), scale, np.uint16))

    write_release(folder, shape, tensors())
    return folder


if __name__ == "__main__":
    main()
