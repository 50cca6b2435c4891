"""Adapters of experts on disk, and in the weights of their model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gadfly
from gadfly.arch import mixtral
from gadfly.convert.convert import Wanted, convert_model
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.hub.progress import Silent
from gadfly.spec import ModelSpec
from gadfly.testing import random_adapter, random_weights, tiny_specs
from gadfly.weight import unstack
from gadfly.weights.adapter import Adapter, merged, read_adapter
from gadfly.weights.adapter_sum import summed
from gadfly.weights.adapter_writer import write_adapter, write_gguf_adapter
from gadfly.weights.low_rank import floats
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors import Safetensors

SPEC, PAGE = tiny_specs()["mixtral"], mixtral.PAGE
FED = "blocks.0.ffn.gate"


def adapter(spec: ModelSpec = SPEC, seed: int = 5, rank: int = 3) -> Adapter:
    whole = random_adapter(spec, seed, rank, experts=True)
    return replace(whole, pairs={path: pair for path, pair in whole.pairs.items() if path != "output"})


def assert_same(one: Adapter, other: Adapter) -> None:
    assert one.pairs.keys() == other.pairs.keys() and one.scale == pytest.approx(other.scale)
    for path, pair in one.pairs.items():
        np.testing.assert_array_equal(other.pairs[path].down, pair.down)
        np.testing.assert_array_equal(other.pairs[path].up, pair.up)


def test_both_forms_hold_the_same(tmp_path: Path) -> None:
    made = adapter()
    assert made.changes_experts and made.rank == 3 and made.pairs[FED].down.shape == (4, 3, 64)
    write_adapter(tmp_path / "a", made, PAGE, "tiny")
    write_gguf_adapter(tmp_path / "a.gguf", made, PAGE, SPEC, "a")
    for path in (tmp_path / "a", tmp_path / "a.gguf"):
        assert_same(read_adapter(path, PAGE, SPEC), made)
    with Safetensors.open(tmp_path / "a" / "adapter_model.safetensors") as file:
        name = "base_model.model.model.layers.0.block_sparse_moe.experts.3.w1.lora_A.weight"
        np.testing.assert_array_equal(floats(file.weight(name)), made.pairs[FED].down[3])


def test_what_is_merged_is_what_is_added() -> None:
    weights = random_weights(SPEC, 1, "Q8_0")
    model = ModelFile(Path("m"), PAGE, SPEC, weights, {}, None, lambda: None)
    one, two = adapter(), adapter(seed=6, rank=2)
    both = summed([(one, 0.7), (two, -0.5)])
    found = [floats(part) for part in unstack(merged(model, both).weights[FED])]
    for expert, (base, matrix) in enumerate(zip(unstack(weights[FED]), found, strict=True)):
        expected = floats(base)
        for part, strength in ((one, 0.7), (two, -0.5)):
            pair = part.pairs[FED]
            expected = expected + np.float32(strength * part.scale) * (pair.up[expert] @ pair.down[expert])
        np.testing.assert_allclose(matrix, expected, atol=1e-5)
    silent = merged(model, summed([(one, 0.0)])).weights[FED]
    for base, part in zip(unstack(weights[FED]), unstack(silent), strict=True):
        np.testing.assert_array_equal(floats(part), floats(base))


def test_experts_that_are_missing_or_too_many_are_refused(tmp_path: Path) -> None:
    made = adapter()
    fewer = replace(
        made, pairs={FED: replace(made.pairs[FED], down=made.pairs[FED].down[:3], up=made.pairs[FED].up[:3])}
    )
    write_adapter(tmp_path / "few", fewer, PAGE)
    with pytest.raises(UnsupportedError, match="only adapters of all 4 experts"):
        read_adapter(tmp_path / "few", PAGE, SPEC)
    five = [np.concatenate([half, half[:1]]) for half in (made.pairs[FED].down, made.pairs[FED].up)]
    write_adapter(tmp_path / "many", replace(made, pairs={FED: type(made.pairs[FED])(*five)}), PAGE)
    with pytest.raises(ModelFileError, match="of an expert that this model does not have"):
        read_adapter(tmp_path / "many", PAGE, SPEC)
    write_gguf_adapter(tmp_path / "few.gguf", fewer, PAGE, SPEC, "few")
    with pytest.raises(ModelFileError, match=r"has the shape \(3, 3, 64\); expected \(4, 3, 64\)"):
        read_adapter(tmp_path / "few.gguf", PAGE, SPEC)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_llama_cpp_says_what_the_merged_model_says(tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    model = ModelFile(Path("m"), PAGE, SPEC, random_weights(SPEC, 1), {}, None, lambda: None)
    made, ids = adapter(), list(range(60, 90))
    for name, one in (("base.gguf", model), ("merged.gguf", merged(model, made))):
        convert_model(one, "", tmp_path / name, Wanted("f32"), 1, Silent())
    write_gguf_adapter(tmp_path / "a.gguf", made, PAGE, SPEC, "a")
    options = {"n_ctx": 64, "logits_all": True, "verbose": False, "n_threads": 1, "type_k": 0, "type_v": 0}
    options["kv_overrides"] = {"tokenizer.ggml.model": "no_vocab"}
    llama = llama_cpp.Llama(str(tmp_path / "base.gguf"), lora_path=str(tmp_path / "a.gguf"), **options)
    llama.eval(ids)
    expected = gadfly.load(tmp_path / "merged.gguf", backend="reference").logits(ids)
    np.testing.assert_allclose(np.array(llama.scores[: len(ids)]), expected, atol=1e-3 * expected.std())
    plain = gadfly.load(tmp_path / "base.gguf", backend="reference").logits(ids)
    assert np.abs(expected - plain).max() > 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::RuntimeWarning")  # of patterns that PEFT made itself
def test_peft_says_what_the_merged_model_says(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = ModelFile(Path("m"), PAGE, SPEC, random_weights(SPEC, 1), {}, None, lambda: None)
    made, ids = adapter(), list(range(60, 90))
    for name, one in (("base", model), ("merged", merged(model, made))):
        convert_model(one, "", tmp_path / name, Wanted("f32"), 1, Silent())
    write_adapter(tmp_path / "a", made, PAGE, str(tmp_path / "base"))
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    with torch.no_grad():
        found = peft.PeftModel.from_pretrained(base, tmp_path / "a")(torch.tensor([ids])).logits[0].numpy()
    expected = gadfly.load(tmp_path / "merged", backend="reference").logits(ids)
    np.testing.assert_allclose(found, expected, atol=1e-3)
