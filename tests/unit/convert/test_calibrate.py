"""What is measured is what an observer of the plain reference backend sees, token by token."""

import math
from pathlib import Path

import gguf
import numpy as np
import pytest

from gadfly.arch import PAGES
from gadfly.batch import Batch, Span
from gadfly.convert import observe
from gadfly.convert.calibrate import Calibration, chunked
from gadfly.convert.fresh import write_fresh
from gadfly.convert.importance import by_path, read_importance, write_importance
from gadfly.convert.sizes import Sizes, draw_up, plain_pattern
from gadfly.model.transformer import forward
from gadfly.ops.reference import Reference
from gadfly.spec import MoE
from gadfly.testing import ByteTokenizer, random_weights, tiny_specs
from gadfly.weights.load import ModelFile, open_model

SPECS = tiny_specs()
CHUNKS = [[(7 * i + 3 * j * j) % 256 for j in range(40)] for i in range(5)] + [[5, 6, 7]]


class Observer(Reference):
    """Notes every row that meets a matrix: (path, expert) -> rows. Experts are computed token by token."""

    def __init__(self, weights):
        self.placed = weights.map(self.place)
        self.paths = {id(self.placed[path]): path for path in self.placed}
        self.met = {}

    def note(self, weight, expert, rows):
        self.met.setdefault((self.paths[id(weight)], expert), []).extend(np.atleast_2d(rows).astype(np.float64))

    def project(self, x, weight, batch):
        self.note(weight, 0, x)
        return super().project(x, weight, batch)

    def route(self, x, router, spec):
        self.note(router, 0, x)
        return super().route(x, router, spec)

    def experts(self, x, routing, gate, up, down, spec: MoE, batch):  # noqa: ARG002
        out = np.zeros_like(x)
        for token, (chosen, shares) in enumerate(routing):
            for expert, share in zip(chosen.astype(int), shares, strict=True):
                row = x[token]
                hidden = self.gated(gate[expert] @ row, up[expert] @ row, spec.activation)
                self.note(gate, expert, row)
                self.note(up, expert, row)
                self.note(down, expert, hidden)
                out[token] += share * (down[expert] @ hidden)
        return out


def observed(spec, weights, chunks):
    observer = Observer(weights)
    for chunk in chunks:
        kv = observer.cache(spec, 4, 16)
        forward(spec, observer.placed, Batch.of([Span(chunk, 0, range(4), range(len(chunk)))]), observer, kv)
    return {key: np.array(rows) for key, rows in observer.met.items()}


def model_of(spec, weights):
    return ModelFile(Path("tiny"), PAGES[0], spec, weights, {}, None, lambda: None)


@pytest.mark.parametrize("format_name", ["F32", "Q8_0", "I8"])
@pytest.mark.parametrize("name", SPECS)
def test_it_sees_what_an_observer_sees(name, format_name, monkeypatch):
    """Also in steps of several chunks, and with weights decoded a few rows at a time."""
    spec = SPECS[name]
    weights = random_weights(spec, format=format_name)
    expected = observed(spec, weights, CHUNKS)
    monkeypatch.setattr(observe, "STEP_TOKENS", 100)
    monkeypatch.setattr(observe, "STRETCH", 1000)
    calibration = Calibration(model_of(spec, weights))
    steps = [len(step) for step in calibration.read(CHUNKS)]
    assert steps == [2, 2, 2] and calibration.tokens == 203
    measured = calibration.measured
    matrices = {path for path, shape in spec.shapes() if len(shape) > 1 and path != "embedding"}
    assert measured.sums.keys() == measured.counts.keys() == matrices
    for path in matrices:
        for matrix, (sums, count) in enumerate(zip(measured.sums[path], measured.counts[path], strict=True)):
            rows = expected.get((path, matrix), np.zeros((0, len(sums))))
            assert count == len(rows)
            np.testing.assert_allclose(sums, np.square(rows).sum(axis=0), rtol=1e-4, atol=1e-6)
    seen, experts = calibration.unseen()
    assert seen == sum(
        (f"blocks.{layer}.{path}.down", expert) not in expected
        for layer, block in enumerate(spec.blocks)
        for path, moe in (("ffn", block.ffn), ("ffn.moe", getattr(block.ffn, "moe", None)))
        if isinstance(moe, MoE)
        for expert in range(moe.experts)
    )
    assert (experts > 0) == any("router" in path for path in matrices)


def test_an_interruption_leaves_whole_steps(monkeypatch):
    spec = SPECS["mixtral"]
    weights = random_weights(spec)
    monkeypatch.setattr(observe, "STEP_TOKENS", 40)
    whole, cut = Calibration(model_of(spec, weights)), Calibration(model_of(spec, weights))
    reading = whole.read(CHUNKS)
    next(reading)
    next(reading)

    stopped = 0

    def interrupt(*arguments):
        nonlocal stopped
        stopped += 1
        if stopped > 2 * len(spec.blocks) + 1:  # in the third step
            raise KeyboardInterrupt
        return route(*arguments)

    route = Reference.route
    monkeypatch.setattr(Reference, "route", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(cut.read(CHUNKS))
    assert cut.tokens == whole.tokens == 80
    for path in whole.measured.sums:
        np.testing.assert_array_equal(cut.measured.sums[path], whole.measured.sums[path])
        np.testing.assert_array_equal(cut.measured.counts[path], whole.measured.counts[path])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("tied", [True, False])
def test_the_file_has_llama_cpps_names_and_layout(tmp_path, page, tied):
    """Two tensors for every matrix: in_sum2 (matrices, in) and counts (matrices, 1), as of its imatrix tool."""
    spec = draw_up(plain_pattern(page.name), Sizes(dim=64, layers=2, vocab=256, context=64))
    write_fresh(tmp_path / "model", page, spec, 0, "F32", tied, {}, lambda *_: None)
    calibration = Calibration(open_model(tmp_path / "model"))
    list(calibration.read(CHUNKS))
    sums, counts = calibration.by_tensor()
    write_importance(tmp_path / "i.gguf", sums, counts, "a.txt")

    read = gguf.GGUFReader(tmp_path / "i.gguf")
    assert str(read.get_field("general.type").contents()) == "imatrix"
    assert read.get_field("imatrix.datasets").contents() == ["a.txt"]
    held = {tensor.name: tensor for tensor in read.tensors}
    shapes = dict(spec.shapes())
    names = set()  # several paths may be fused into one tensor
    for path, values in calibration.measured.sums.items():
        name = page.gguf.names.entry("embedding" if tied and path == "output" else path).name
        names.add(name)
        *stack, _, inputs = shapes[path]
        assert held[f"{name}.in_sum2"].shape.tolist() == [inputs, math.prod(stack)]
        assert held[f"{name}.counts"].shape.tolist() == [1, math.prod(stack)]
        np.testing.assert_array_equal(held[f"{name}.in_sum2"].data, values.astype(np.float32))
        np.testing.assert_array_equal(held[f"{name}.counts"].data[:, 0], calibration.measured.counts[path])
    assert len(held) == 2 * len(names)

    means = by_path(read_importance(tmp_path / "i.gguf"), page.gguf.names)
    path = "blocks.1.mixer.query"
    expected = calibration.measured.sums[path] / calibration.measured.counts[path][:, None]
    np.testing.assert_allclose(means[path], expected, rtol=1e-5)
    assert ("embedding" in means) == tied


def test_chunks_cover_a_text_and_begin_as_texts_do():
    tokenizer = ByteTokenizer()
    assert chunked(tokenizer, "abcdefgh", 3) == [[97, 98, 99], [100, 101, 102], [103, 104]]
    assert chunked(tokenizer, "", 3) == []

    class Beginning(ByteTokenizer):
        def __init__(self):
            super().__init__()
            self.bos, self.adds_bos = 256, True

    assert chunked(Beginning(), "abcde", 3) == [[256, 97, 98], [256, 99, 100], [256, 101]]
