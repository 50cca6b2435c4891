"""Every architecture's page against transformers' own model: the same random weights, saved by it, opened by Gadfly.

The same model then goes through a GGUF file of ours, and, where it is installed, through llama.cpp. torch and
transformers come with `make oracles`; without them these tests are skipped.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.weights.load import open_model
from gguf_files import write_model
from relatives import RELATIVES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPTS = [[3], [5, 8, 13, 21, 34], np.random.default_rng(1).integers(0, 67, 45).tolist()]  # longer than any window
SEEDS = [0, 1]


class Oracle:
    """A random model of transformers', saved in `folder`, and what it makes of the prompts: (tokens, vocab) each."""

    def __init__(self, values: dict[str, Any], seed: int, folder: Path) -> None:
        values = dict(values)
        (name,) = values.pop("architectures")
        kind = getattr(transformers, name)
        torch.manual_seed(seed)
        model = kind(kind.config_class(**values, attn_implementation="eager")).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(drawn(parameter))
            self.logits = [model(torch.tensor([prompt])).logits[0].numpy() for prompt in PROMPTS]
        model.save_pretrained(folder)
        self.folder = folder


def drawn(parameter: Any) -> Any:
    """So that activations keep their size: vectors near what they are (ones, or zeros), matrices by their width."""
    noise = torch.randn_like(parameter)
    return parameter + noise / 5 if parameter.ndim == 1 else noise / parameter.shape[-1] ** 0.5


@pytest.fixture(
    scope="module", params=[(name, seed) for name in RELATIVES for seed in SEEDS], ids="{0[0]}-{0[1]}".format
)
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    name, seed = request.param
    return Oracle(RELATIVES[name], seed, tmp_path_factory.mktemp(name) / "model")


def test_reference_is_transformers(oracle: Oracle) -> None:
    llm = gadfly.load(oracle.folder, backend="reference")
    for prompt, expected in zip(PROMPTS, oracle.logits, strict=True):
        np.testing.assert_allclose(llm.logits(prompt), expected, rtol=0, atol=1e-4 * expected.std())


def test_native_follows(oracle: Oracle) -> None:
    """As closely as int8 activations and a rounded cache can in a model this small; experts change at near ties."""
    llm = gadfly.load(oracle.folder, threads=2)
    found, expected = llm.logits(PROMPTS[-1]), oracle.logits[-1]
    rms = np.sqrt(np.mean(np.square(found - expected), axis=-1)) / expected.std()
    assert np.median(rms) < 0.05


def test_a_gguf_file_holds_the_same_model(oracle: Oracle, tmp_path: Path) -> None:
    """Twice there and back, as one way may undo the other's mistake."""
    for i in range(2):
        write_model(open_model(oracle.folder if i == 0 else tmp_path / "0.gguf"), tmp_path / f"{i}.gguf")
        llm = gadfly.load(tmp_path / f"{i}.gguf", backend="reference")
        for prompt, expected in zip(PROMPTS, oracle.logits, strict=True):
            np.testing.assert_allclose(llm.logits(prompt), expected, rtol=0, atol=1e-4 * expected.std())


# What llama.cpp's graphs leave out, so that nothing can be compared.
PEER_LACKS = {
    "mistral": "windows",
    "mixtral-window": "windows",
    "qwen2-window": "windows",
    "qwen3moe-as-it-is": "weights",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RELATIVES.keys() - PEER_LACKS.keys())
def test_llama_cpp_agrees(name: str, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    oracle = Oracle(RELATIVES[name], 2, tmp_path / "model")
    write_model(open_model(oracle.folder), tmp_path / "model.gguf", {"tokenizer.ggml.model": "no_vocab"})
    f32 = {"type_k": 0, "type_v": 0, "flash_attn": False}
    peer = llama_cpp.Llama(str(tmp_path / "model.gguf"), n_ctx=256, logits_all=True, verbose=False, **f32)
    for prompt, expected in zip(PROMPTS, oracle.logits, strict=True):
        peer.reset()
        peer.eval(prompt)
        found = np.array(peer.scores[: len(prompt)])
        print(name, len(prompt), np.abs(found - expected).max() / expected.std())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * expected.std())
