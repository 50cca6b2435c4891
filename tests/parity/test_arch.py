"""Every architecture's page against transformers' own model: the same random weights, saved by it, opened by Gadfly.

The same model then goes through a GGUF file of ours, and, where it is installed, through llama.cpp. torch and
transformers come with `make oracles`; without them these tests are skipped.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.convert.convert import Wanted, convert
from gadfly.hub.progress import Silent
from relatives import RELATIVES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

RANDOM = np.random.default_rng(1)
PROMPTS = [RANDOM.integers(0, 67, length).tolist() for length in (1, 5, 45, 300)]  # windows end below 20
SEEDS = [0, 1]
EXACT = {"attn_implementation": "eager", "dtype": "float32"}


class Oracle:
    """A random model of transformers', saved in `folder`, and what it makes of the prompts: (tokens, vocab) each."""

    def __init__(self, values: dict[str, Any], seed: int, folder: Path) -> None:
        values = dict(values)
        (name,) = values.pop("architectures")
        kind = getattr(transformers, name)
        torch.manual_seed(seed)
        model = kind(kind.config_class(**values, **EXACT)).eval()
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


def test_of_a_model_with_eyes_the_text_is_read(tmp_path: Path) -> None:
    values = {
        **RELATIVES["gemma3"],
        "vocab_size": 70,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-6,
    }
    eyes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"boi_token_index": 67, "eoi_token_index": 68, "image_token_index": 69, "mm_tokens_per_image": 4}
    eyes |= {"image_size": 28, "patch_size": 14}
    both = transformers.Gemma3Config(text_config=values, vision_config=eyes, **tokens, **EXACT)
    model = transformers.Gemma3ForConditionalGeneration(both).eval()
    with torch.no_grad():
        expected = model(torch.tensor([PROMPTS[2]])).logits[0].numpy()
    model.save_pretrained(tmp_path / "model")
    text = json.loads((tmp_path / "model" / "config.json").read_text())
    for usual in ("num_attention_heads", "num_key_value_heads", "rms_norm_eps"):  # the releases leave it out
        del text["text_config"][usual]
    (tmp_path / "model" / "config.json").write_text(json.dumps(text))
    for path in (tmp_path / "model", converted(tmp_path / "model", tmp_path / "text")):
        found = logits(path, PROMPTS[2], backend="reference")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.std())


def logits(path: Path, prompt: list[int], **options: Any) -> np.ndarray:
    return gadfly.load(path, context=context(prompt), **options).logits(prompt)


def context(prompt: list[int]) -> int:
    """A model of the Phi kind is turned by other factors from 257 positions on."""
    return 256 if len(prompt) <= 256 else 512


def test_reference_is_transformers(oracle: Oracle) -> None:
    for prompt, expected in zip(PROMPTS, oracle.logits, strict=True):
        found = logits(oracle.folder, prompt, backend="reference")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.std())


def test_native_follows(oracle: Oracle) -> None:
    """As closely as int8 activations and a rounded cache can in a model this small; experts change at near ties."""
    for prompt, expected in zip(PROMPTS[-2:], oracle.logits[-2:], strict=True):
        found = logits(oracle.folder, prompt, threads=2)
        rms = np.sqrt(np.mean(np.square(found - expected), axis=-1)) / expected.std()
        assert np.median(rms) < 0.05


def converted(source: Path, target: Path) -> Path:
    convert(source, target, Wanted("f32"), threads=1, progress=Silent())
    return target


@pytest.mark.parametrize("oracle", [(name, SEEDS[0]) for name in RELATIVES], ids="{0[0]}".format, indirect=True)
def test_gguf_files_and_folders_of_ours_hold_the_same_model(oracle: Oracle, tmp_path: Path) -> None:
    """There, back and there again, as one way may undo the other's mistake; transformers reads what came back."""
    there = converted(oracle.folder, tmp_path / "there.gguf")
    back = converted(there, tmp_path / "back")
    again = converted(back, tmp_path / "again.gguf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(back, **EXACT, pad_token_id=0).eval()
    for prompt, expected in zip(PROMPTS[2:], oracle.logits[2:], strict=True):
        with torch.no_grad():
            read = theirs(torch.tensor([prompt])).logits[0].numpy()
        for found in (read, *(logits(path, prompt, backend="reference") for path in (there, again))):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.std())


# What llama.cpp's graphs leave out, so that nothing can be compared.
PEER_LACKS = {
    "mistral": "windows",
    "mixtral-window": "windows",
    "qwen2-window": "windows",
    "qwen3moe-as-it-is": "weights",
    "phi3-window": "windows",
    "gemma3-scalar": "the scale of scores",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RELATIVES.keys() - PEER_LACKS.keys())
def test_llama_cpp_agrees(name: str, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    oracle = Oracle(RELATIVES[name], 2, tmp_path / "model")
    path = str(converted(oracle.folder, tmp_path / "model.gguf"))
    options = {"type_k": 0, "type_v": 0, "logits_all": True, "verbose": False}  # the cache in float32
    options["kv_overrides"] = {"tokenizer.ggml.model": "no_vocab"}
    for prompt, expected in zip(PROMPTS, oracle.logits, strict=True):
        peer = llama_cpp.Llama(path, n_ctx=context(prompt), **options)
        peer.eval(prompt)
        found = np.array(peer.scores[: len(prompt)])
        atol = 5e-3 if "gelu" in str(RELATIVES[name]) else 1e-4  # its table of GELU is one of half floats
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol * expected.std())
