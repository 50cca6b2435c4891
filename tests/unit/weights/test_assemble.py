"""Tensors under a file's names become the tree and back, however a file fuses, stacks, joins or defers them."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gadfly.arch import PAGES, Dialect
from gadfly.arch.decoder import GGUF_EXPERTS, GGUF_NAMES
from gadfly.arch.grok1 import GGUF_FUSED
from gadfly.arch.mixtral import HF_EXPERTS
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.names import NameTable
from gadfly.spec import ModelSpec, MoE
from gadfly.testing import random_weights, tiny_spec
from gadfly.weight import Deferred, Joined, Plain, Stack, Weight, Weights
from gadfly.weights.assemble import assemble
from gadfly.weights.export import OutTensor, export

DENSE = tiny_spec()
EXPERTS = replace(
    DENSE,
    blocks=tuple(replace(block, ffn=MoE(4, 2, 48, "silu", renormalised=True)) for block in DENSE.blocks),
)
STACKED = Dialect(NameTable(GGUF_NAMES, GGUF_EXPERTS))
APART = Dialect(NameTable(GGUF_NAMES, HF_EXPERTS))
FUSED = Dialect(NameTable({key: name for key, name in GGUF_NAMES.items() if ".mixer." not in key}, GGUF_FUSED, {
    "blocks.{layer}.mixer.output": GGUF_NAMES["blocks.{layer}.mixer.output"],
    ("blocks.{layer}.ffn.gate", "blocks.{layer}.ffn.up"): "blk.{layer}.gate_up",
    "blocks.{layer}.ffn.down": GGUF_NAMES["blocks.{layer}.ffn.down"],
}))  # fmt: skip
PERMUTED = next(page for page in PAGES if page.name == "llama").gguf


class Held:
    """Tensors in memory, that count how often each is fetched if they are deferred."""

    source = "model"

    def __init__(self, tensors: dict[str, np.ndarray], deferred: bool = False) -> None:
        self.tensors = tensors
        self.deferred = deferred
        self.fetched: list[str] = []

    def names(self) -> Iterable[str]:
        return list(self.tensors)

    def weight(self, name: str) -> Plain | Joined | Deferred:
        whole = Plain(self.tensors[name])
        return Deferred(whole.shape, lambda: self.fetched.append(name) or whole) if self.deferred else whole


def numbers(weight: Weight) -> np.ndarray:
    if isinstance(weight, Stack):
        return np.stack([numbers(part) for part in weight.parts])
    while isinstance(weight, Deferred):
        weight = weight.load()
    if isinstance(weight, Stack):
        return numbers(weight)
    if isinstance(weight, Plain):
        return weight.array
    return numbers(weight.rows(slice(None)))


def written(tensor: OutTensor) -> np.ndarray:
    rows = [tensor.rows(part, 0, tensor.height(part)) for part in range(len(tensor.parts))]
    return np.concatenate([numbers(part) for part in rows]).reshape(tensor.shape)


def file_of(spec: ModelSpec, dialect: Dialect, seed: int = 0) -> tuple[Weights[Weight], dict[str, np.ndarray]]:
    weights = random_weights(spec, seed)
    return weights, {tensor.name: written(tensor) for tensor in export(weights, spec, dialect)}


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize(
    ("spec", "dialect"),
    [(EXPERTS, STACKED), (EXPERTS, APART), (DENSE, FUSED), (DENSE, PERMUTED)],
    ids=["stacked", "apart", "fused", "permuted"],
)
def test_there_and_back(spec: ModelSpec, dialect: Dialect, deferred: bool) -> None:
    weights, file = file_of(spec, dialect)
    held = Held(file, deferred)
    found = assemble(held, dialect, spec)
    assert not held.fetched, "nothing is fetched before its numbers are wanted"
    for path, shape in spec.shapes():
        assert found[path].shape == shape
        assert_array_equal(numbers(found[path]), numbers(weights[path]), err_msg=path)
    again = {tensor.name: written(tensor) for tensor in export(found, spec, dialect)}
    assert again.keys() == file.keys()
    for name in file:
        assert_array_equal(again[name], file[name], err_msg=name)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_any_rows_of_a_tensor_are_those_that_are_written(data: st.DataObject) -> None:
    spec, dialect = data.draw(
        st.sampled_from([(EXPERTS, STACKED), (EXPERTS, APART), (DENSE, FUSED), (DENSE, PERMUTED)])
    )
    _, file = file_of(spec, dialect)
    tensors = export(assemble(Held(file, data.draw(st.booleans())), dialect, spec), spec, dialect)
    tensor = data.draw(st.sampled_from(tensors))
    part = data.draw(st.integers(0, len(tensor.parts) - 1))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, tensor.height(part))] * 2)))
    begin = sum(tensor.height(before) for before in range(part))
    if len(tensor.shape) > 1:
        expected = file[tensor.name].reshape(-1, tensor.columns)[begin + first : begin + last]
        assert_array_equal(numbers(tensor.rows(part, first, last)), expected)


def test_a_missing_output_is_the_embedding_itself() -> None:
    _, file = file_of(DENSE, PERMUTED)
    del file["output.weight"]
    found = assemble(Held(file), PERMUTED, DENSE)
    assert found["output"] is found["embedding"]


@pytest.mark.parametrize("axis", [0, 1])
def test_pieces_are_joined_along_the_axis_that_fits(axis: int) -> None:
    weights, file = file_of(DENSE, PERMUTED)
    name = "blk.1.ffn_down.weight"

    class InPieces(Held):
        def weight(self, name: str) -> Plain | Joined | Deferred:
            if name != "blk.1.ffn_down.weight":
                return super().weight(name)
            return Joined(tuple(map(Plain, np.split(self.tensors[name], 2, axis=axis))), axis=0)

    found = assemble(InPieces(file), PERMUTED, DENSE)
    assert_array_equal(numbers(found["blocks.1.ffn.down"]), numbers(weights["blocks.1.ffn.down"]), err_msg=name)


def test_a_hole_a_surplus_a_stranger_and_a_misfit_are_told_by_name() -> None:
    _, whole = file_of(EXPERTS, APART)
    expert = "model.layers.1.block_sparse_moe.experts.3.w2.weight"

    def refusal(kind: type[Exception], file: dict[str, np.ndarray]) -> str:
        with pytest.raises(kind) as caught:
            assemble(Held(file), APART, EXPERTS)
        return str(caught.value)

    assert "is missing" in refusal(ModelFileError, {name: whole[name] for name in whole if name != expert})
    surplus = expert.replace("3", "4")
    assert surplus in refusal(ModelFileError, {**whole, surplus: whole[expert]})
    assert "of a model of 2" in refusal(
        ModelFileError, {**whole, "blk.2.attn_norm.weight": whole["output_norm.weight"]}
    )
    assert "does not know" in refusal(UnsupportedError, {**whole, "blk.0.odd": whole[expert]})
    for odd in (np.zeros(()), whole[expert][None], whole[expert].T, whole[expert].reshape(-1)):
        assert "has shape" in refusal(ModelFileError, {**whole, expert: odd})
