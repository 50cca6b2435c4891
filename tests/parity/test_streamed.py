"""Experts and layers read from disk as they are needed compute the same bits as in memory, in however little memory."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gadfly
from gadfly._native import kernel_names
from gadfly.cli.main import gadfly as command
from gadfly.convert.convert import Wanted, convert
from gadfly.errors import ModelFileError
from gadfly.hub.progress import Silent
from gadfly.llm import LLM
from gadfly.ops.native import Native
from gadfly.testing import random_weights, tiny_specs
from gadfly.weights.clinging import found, recall
from gadfly.weights.load import ModelFile, open_model
from gadfly.weights.packed import PAGE, PackedFile
from gadfly.weights.streamed import WRITING, Streamed

DATA = Path(__file__).parent.parent / "data"
GROK, TWELVE = DATA / "tiny-grok-1", DATA / "tiny-grok-1-12layer"
LONG = [(5 + 7 * i) % 100 for i in range(60)]  # with which every expert is busy
ALL = 10**6


@contextmanager
def arena(monkeypatch: pytest.MonkeyPatch, experts: int, tokens: int = 256, beside: int = 256) -> Iterator[None]:
    """Inside, models are given an arena of so many experts, beside the buffers of a step of `beside` tokens."""

    def settle(self: Streamed, _memory: int, _used: int, step_bytes: Callable[[int], int]) -> int:
        buffers = step_bytes(beside)
        edges = PAGE + self._store.bytes_to_pack
        self._store.reserve(min(experts, self._experts) * self._store.bytes_per_expert + buffers + edges, buffers)
        return tokens

    with monkeypatch.context() as inside:
        inside.setattr(Streamed, "settle", settle)
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch):
    def load(experts: int, model: Path = GROK, tokens: int = 256, beside: int = 256, **options) -> LLM:
        with arena(monkeypatch, experts, tokens, beside):
            return gadfly.load(model, experts="streamed", **{"threads": 2, **options})

    return load


@pytest.mark.parametrize("experts", [2, 5, ALL])
def test_the_same_bits_as_in_memory(streamed, experts: int) -> None:
    for model in (GROK, TWELVE):
        resident = gadfly.load(model, experts="resident", threads=2)
        expected = resident.logits(LONG), resident.generate(LONG[:9], max_tokens=20, temperature=1.0, seed=1).ids
        for threads in (1, 2, 3):
            llm = streamed(experts, model, threads=threads)
            np.testing.assert_array_equal(llm.logits(LONG), expected[0])
            assert llm.generate(LONG[:9], max_tokens=20, temperature=1.0, seed=1).ids == expected[1]
            np.testing.assert_array_equal(llm.logits(LONG), expected[0])  # with whatever is in the arena now


@pytest.mark.parametrize("kernels", kernel_names())
def test_by_any_instructions(streamed, kernels: str) -> None:
    expected = gadfly.load(GROK, experts="resident", threads=1, kernels=kernels).logits(LONG[:20])
    np.testing.assert_array_equal(streamed(3, kernels=kernels).logits(LONG[:20]), expected)


def mixture(name: str, form: str, folder: Path) -> ModelFile:
    """Random weights in a format, as if they had come from a file."""
    spec, file = tiny_specs()[name], folder / "weights"
    file.write_bytes(b"whose size and time are all that counts")
    return replace(open_model(GROK), path=file, spec=spec, weights=random_weights(spec, 0, form), files=(file,))


@pytest.mark.parametrize("form", ["F32", "BF16", "Q4_0", "Q8_0", "I8"])
@pytest.mark.parametrize("name", ["mixtral", "grok-1", "grok-2"])
def test_every_mixture_in_every_kind_of_format(tmp_path: Path, monkeypatch, name: str, form: str) -> None:
    file, backend = mixture(name, form, tmp_path), Native(2)
    packed = PackedFile(file, tmp_path / "folder" / "packed")
    packed.make(backend)
    with arena(monkeypatch, 3):
        llm = LLM(file, file.spec, backend, placement=Streamed(backend, packed, file))
    resident = LLM(file, file.spec, Native(2))
    np.testing.assert_array_equal(llm.logits(LONG), resident.logits(LONG))


def test_requests_together_get_what_each_gets_alone(streamed) -> None:
    prompts = [LONG[i : i + 12] for i in range(6)]
    resident = gadfly.load(TWELVE, experts="resident", threads=2)
    expected = [resident.generate(prompt, max_tokens=12, temperature=1.0, seed=1).ids for prompt in prompts]
    llm = streamed(4, TWELVE, contexts=6)
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        found[number] = llm.generate(prompts[number], max_tokens=12, temperature=1.0, seed=1).ids

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(prompts))] == expected


def test_a_prompt_reads_every_expert_once_and_what_stays_not_again(streamed) -> None:
    llm = streamed(40, TWELVE)  # of 96
    llm.generate(LONG, max_tokens=1)
    first = llm.reads()
    busy = sum(tokens > 0 for layer in llm.expert_use() for tokens in layer)
    assert (first.found, first.missing, first.tokens) == (0, 3 * busy, len(LONG) + 1)
    for _ in range(3):
        before = llm.reads()
        llm.logits(LONG)
        again = llm.reads().since(before)
        # Though they are wanted in circles, where what was used last goes first. A layer's eight may be on their way.
        assert 3 * (40 - 8) <= again.found <= 3 * 40
        assert again.found + again.missing == 3 * busy
        assert again.bytes * first.missing == again.missing * first.bytes
        assert again.reading > 0


@pytest.mark.parametrize("experts", [4, 40, ALL])
def test_a_long_prompt_borrows_room_of_experts_who_have_it_again_afterwards(streamed, experts: int) -> None:
    llm, resident = streamed(experts, TWELVE, beside=WRITING), gadfly.load(TWELVE, experts="resident", threads=2)
    answer = {"max_tokens": 12, "temperature": 1.0, "seed": 3}
    alone, after = resident.generate([5], **answer).ids, resident.generate([*LONG, 5], **answer).ids
    for _ in range(2):
        assert llm.generate([5], **answer).ids == alone
    before = llm.reads()
    assert llm.generate([5], **answer).ids == alone
    steady = llm.reads().since(before)
    assert (steady.missing == 0) == (experts == ALL)
    before = llm.reads()
    llm.generate([*LONG, 5], max_tokens=1)
    borrowed = llm.reads().since(before)
    assert borrowed.missing > 0 and borrowed.found + borrowed.missing <= 3 * 96  # in one step, once each
    np.testing.assert_array_equal(llm.logits(LONG), resident.logits(LONG))
    assert llm.generate([*LONG, 5], **answer).ids == after
    for _ in range(2):
        assert llm.generate([5], **answer).ids == alone
    before = llm.reads()
    assert llm.generate([5], **answer).ids == alone
    again = llm.reads().since(before)
    assert again.room == steady.room and again.missing <= steady.missing * 1.1


@pytest.mark.parametrize("experts", [24, ALL])
def test_how_closely_routers_cling_is_known_afterwards_whatever_had_room(streamed, home: Path, experts: int) -> None:
    llm = streamed(experts, TWELVE)
    llm.generate([5], max_tokens=200, temperature=1.0, seed=1, ignore_eos=True)
    read = llm.reads()
    del llm
    gc.collect()
    (packed,) = (home / "cache" / "packed").glob("*/packed")
    ranks = recall(packed, 8)
    assert len(ranks) == 8 and ranks[0] > ranks[-1]
    assert found(ranks, read.room) == pytest.approx(read.hits, abs=0.1)


def test_nothing_is_left_beside_a_model_that_is_read_where_it_lies(streamed, tmp_path: Path) -> None:
    model = converted(new(tmp_path, "mixtral", layers=2, experts=4, dim=64, hidden=96), "q4_0")
    before = sorted(tmp_path.iterdir())
    llm = streamed(2, model, cache=False)
    llm.generate([5], max_tokens=300, ignore_eos=True)
    assert llm.reads().found + llm.reads().missing > 3 * 50 * 4  # enough to be remembered
    del llm
    gc.collect()
    assert sorted(tmp_path.iterdir()) == before


def test_more_tokens_than_hidden_rows_have_room_for_are_computed_in_turns(streamed) -> None:
    many, longer = [(3 + 11 * i) % 100 for i in range(230)], {"spec": lambda spec: replace(spec, context=256)}
    resident = gadfly.load(GROK, experts="resident", threads=2, **longer).logits(many)
    expected = gadfly.load(GROK, backend="reference", **longer).logits(many)
    assert np.abs(resident - expected).max() < 0.1 * np.abs(expected).max()
    for experts, threads in ((2, 1), (2, 3), (ALL, 2)):
        np.testing.assert_array_equal(streamed(experts, threads=threads, **longer).logits(many), resident)


def test_what_the_arena_cannot_lend_is_taken_elsewhere(streamed) -> None:
    llm = streamed(2, beside=1)
    np.testing.assert_array_equal(llm.logits(LONG), gadfly.load(GROK, experts="resident", threads=2).logits(LONG))


@pytest.mark.parametrize("experts", [2, ALL])
def test_a_file_that_ends_too_early_fails_who_asks_and_nobody_later(streamed, home: Path, experts: int) -> None:
    llm = streamed(experts)
    (path,) = (home / "cache" / "packed").glob("*/packed")
    whole = path.read_bytes()
    os.truncate(path, 16384)
    for _ in range(2):
        with pytest.raises(
            ModelFileError, match=r"packed: weights at byte \d+ cannot be read: the file ends before it"
        ):
            llm.generate(LONG, max_tokens=4)
        with pytest.raises(ModelFileError, match="cannot be read"):
            llm.logits(LONG)
    with path.open("r+b") as file:  # the same file, as if a disk had come back
        file.write(whole)
    expected = gadfly.load(GROK, experts="resident", threads=2)
    np.testing.assert_array_equal(llm.logits(LONG), expected.logits(LONG))
    assert llm.generate(LONG, max_tokens=8, seed=2).ids == expected.generate(LONG, max_tokens=8, seed=2).ids


def test_what_is_deleted_or_replaced_stays_in_use(streamed, home: Path) -> None:
    llm = streamed(2)
    expected = llm.logits(LONG)
    (path,) = (home / "cache" / "packed").glob("*/packed")
    path.unlink()
    np.testing.assert_array_equal(llm.logits(LONG), expected)


def new(folder: Path, arch: str, **sizes: int) -> Path:
    """A random model in bfloat16, of rows that fill no whole strip."""
    flags = [f"--{name.replace('_', '-')}={size}" for name, size in ({"vocab": 512, "context": 512} | sizes).items()]
    made = CliRunner().invoke(command, ["new", str(folder / arch), "--arch", arch, *flags])
    assert made.exit_code == 0, made.output
    return folder / arch


def converted(source: Path, form: str, streaming: bool = False) -> Path:
    target = source.with_name(f"{source.name}-{form}{'-prepared' * streaming}.gguf")
    convert(source, target, Wanted(form, pure=True, streaming=streaming), 2, Silent())
    return target


def same(llm: LLM, resident: LLM) -> None:
    answer = {"max_tokens": 12, "temperature": 1.0, "seed": 1}
    for _ in range(2):  # with whatever is in the arena then
        np.testing.assert_array_equal(llm.logits(LONG), resident.logits(LONG))
        assert llm.generate(LONG[:9], **answer).ids == resident.generate(LONG[:9], **answer).ids


@pytest.mark.parametrize("form", ["f32", "bf16", "q4_0", "q5_1", "q8_0", "iq4_nl", "q2_k", "q4_k", "q6_k", "iq4_xs"])
def test_experts_in_the_models_own_file(streamed, tmp_path: Path, home: Path, form: str) -> None:
    sizes = {"dim": 256, "hidden": 512} if form.endswith(("k", "xs")) else {"dim": 64, "hidden": 96}
    model = converted(new(tmp_path, "mixtral", layers=3, experts=5, **sizes), form)
    resident = gadfly.load(model, experts="resident", threads=2)
    for experts in (2, 4, ALL):
        llm = streamed(experts, model, cache=False)
        same(llm, resident)
        assert "packed anew each time" in llm.notes[0] and "--no-cache" in llm.notes[0]
    assert llm.reads().missing > 0
    assert not home.exists()


def test_rows_that_fill_no_strip_and_files_of_several_parts(streamed, tmp_path: Path) -> None:
    model = new(tmp_path, "mixtral", layers=2, experts=4, dim=40, hidden=100, heads=2, head_dim=16)
    same(streamed(2, model, cache=False), gadfly.load(model, experts="resident", threads=2))


@pytest.mark.parametrize("source", ["filed", "packed", "prepared"])
@pytest.mark.parametrize("layers", [2, 5, ALL])
@pytest.mark.parametrize(("arch", "form"), [("llama", "q4_k"), ("mistral", "bf16")])
def test_layers_of_a_model_without_experts(
    streamed, tmp_path: Path, home: Path, arch: str, form: str, layers: int, source: str
) -> None:
    model = new(tmp_path, arch, layers=7, dim=256, hidden=768)
    resident = gadfly.load(converted(model, form), experts="resident", threads=2)
    model = converted(model, form, streaming=True) if source == "prepared" else resident.path
    for threads in (1, 3):
        llm = streamed(layers, model, threads=threads, cache=source == "packed")
        same(llm, resident)
        before = llm.reads()
        llm.generate([5], max_tokens=1)
        spent = llm.reads().since(before)
        kinds = 5 if source == "filed" else 7  # queries and keys are put in order at load
        assert spent.found + spent.missing == 7 * kinds
        assert spent.found == kinds * (7 if layers == ALL else max(0, layers - 2))
        assert "of the layers have room" in llm.notes[0]
    assert home.exists() == (source == "packed")


def test_a_long_prompt_borrows_room_of_layers_who_have_it_again_afterwards(streamed, tmp_path: Path) -> None:
    model = converted(new(tmp_path, "llama", layers=9, dim=256, hidden=512), "q4_0")
    resident = gadfly.load(model, experts="resident", threads=2)
    for layers in (4, 8, ALL):
        llm = streamed(layers, model, beside=WRITING)
        for _ in range(2):
            same(llm, resident)
        before = llm.reads()
        llm.generate([5], max_tokens=1)
        assert llm.reads().since(before).found == 7 * (9 if layers == ALL else layers - 2)


def test_layers_that_cannot_be_read_fail_who_asks_and_nobody_later(streamed, tmp_path: Path) -> None:
    model = converted(new(tmp_path, "llama", layers=4, dim=256, hidden=512), "q4_0", streaming=True)
    expected = gadfly.load(model, experts="resident", threads=2)
    expected.logits(LONG)
    llm, whole = streamed(2, model), model.read_bytes()
    os.truncate(model, len(whole) // 2 // PAGE * PAGE)
    with pytest.raises(ModelFileError, match="cannot be read: the file ends before it"):
        llm.generate(LONG, max_tokens=4)
    with model.open("r+b") as file:
        file.write(whole)
    same(llm, expected)
