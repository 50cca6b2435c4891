"""Experts in a mapped file: the same bits as in memory, packed once, and made anew whenever something is wrong."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import gadfly
from gadfly._native import PackedMatrix, kernel_names, packed_bytes
from gadfly.cli.main import gadfly as command
from gadfly.errors import CapacityError, ModelFileError, RequestError, UnsupportedError
from gadfly.ops.native import Native, layout_of
from gadfly.ops.reference import Reference
from gadfly.quant import FORMATS as BLOCKS
from gadfly.testing import random_weights, tiny_specs
from gadfly.weight import Weights, unstack
from gadfly.weights import experts
from gadfly.weights.experts import Mapped, Resident, Unpacked, expert_store, is_stack
from gadfly.weights.load import ModelFile, open_model
from memory_group import limited

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"
IDS = list(range(3, 40))
FORMATS = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "I8"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def load(place: str | None = "mapped", model: Path = GROK, **options) -> gadfly.LLM:
    return gadfly.load(model, experts=place, **{"threads": 2, **options})


def packed_file(home: Path) -> Path:
    (found,) = (home / "cache" / "experts").glob("*/packed")
    return found


def made(home: Path) -> tuple[int, int]:
    """Tells one making of the packed file from another."""
    status = packed_file(home).stat()
    return status.st_ino, status.st_mtime_ns


def mixture(name: str, folder: Path) -> ModelFile:
    """Random weights in a format, as if they had come from a file."""
    spec = next(spec for spec in tiny_specs().values() if any(len(shape) == 3 for _, shape in spec.shapes()))
    file = folder / "weights"
    file.write_bytes(b"whose size and time are all that counts")
    return replace(open_model(GROK), path=file, spec=spec, weights=random_weights(spec, 0, name), files=(file,))


@pytest.mark.parametrize("kernels", kernel_names())
def test_the_same_bits_as_in_memory(kernels: str) -> None:
    expected = load("resident", kernels=kernels).logits(IDS)
    packing, packed = load(kernels=kernels), load(kernels=kernels)
    np.testing.assert_array_equal(packing.logits(IDS), expected)
    np.testing.assert_array_equal(packed.logits(IDS), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_mapped_as_it_is_packed(tmp_path: Path, name: str) -> None:
    file, backend, other = mixture(name, tmp_path), Native(1), Native(1)
    stores = [Mapped(file, backend, tmp_path) for _ in range(2)]
    assert stores[0].path.stat().st_mtime_ns == stores[1].path.stat().st_mtime_ns
    for stack in (file.weights[path] for path in file.weights if is_stack(file.weights[path])):
        for mapped, resident in zip(stores[1].place(stack), other.place(stack), strict=True):
            np.testing.assert_array_equal(mapped.packed, resident.packed)
    assert backend._lossless == other._lossless


def test_it_is_packed_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    before = made(home)
    packed = []
    monkeypatch.setattr(experts.Native, "pack", lambda self, weight: packed.append(weight.shape) or PACK(self, weight))
    load()
    assert made(home) == before
    assert len(packed) == sum(len(weight.shape) == 2 and path != "output" for path, weight in matrices())
    shutil.rmtree(home / "cache")
    load()  # and after it was deleted, once more


PACK = Native.pack


def matrices():
    weights = open_model(GROK).weights
    return [(path, weights[path]) for path in weights]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: whole[:4096],
        lambda whole: b"\0" * len(whole),
        lambda whole: whole[:30] + bytes([whole[30] ^ 1]) + whole[31:],
    ],
)
def test_what_is_damaged_is_made_anew(home: Path, damage) -> None:
    expected = load().logits(IDS)
    file = packed_file(home)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    np.testing.assert_array_equal(load().logits(IDS), expected)
    assert file.read_bytes() == whole


def test_another_model_at_the_same_path_is_packed_anew(home: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(GROK, model)
    load(model=model)
    before = made(home)
    shutil.copytree(GROK.with_name("tiny-grok-1-12layer"), model, dirs_exist_ok=True)
    llm = load(model=model)
    np.testing.assert_array_equal(llm.logits(IDS), load("resident", model=model).logits(IDS))
    changed = made(home)
    os.utime(next(model.glob("ckpt-0/*")))
    load(model=model)
    assert len({before, changed, made(home)}) == 3


def test_how_layouts_are_packed_can_be_told() -> None:
    samples = {layout: experts._sample(layout) for layout in (*BLOCKS, "I8")}
    assert samples == {layout: experts._sample(layout) for layout in samples}
    assert samples["F16"] == samples["BF16"] and samples["Q4_0"] == samples["IQ4_NL"]  # which mean other numbers
    assert len(set(samples.values())) == len(samples) - 2


def test_a_gadfly_that_packs_otherwise_packs_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    before = made(home)
    monkeypatch.setattr(experts, "_sample", lambda layout: f"{layout} turned around")
    load()
    assert made(home) != before


def test_a_model_in_use_keeps_what_is_deleted_or_replaced(home: Path) -> None:
    llm = load()
    expected = llm.logits(IDS)
    shutil.rmtree(home / "cache")
    np.testing.assert_array_equal(llm.logits(IDS), expected)


KILLED_WHILE_PACKING = """
import os, sys
from gadfly.ops.native import Native
import gadfly
pack, left = Native.pack, [5]
def dying(self, weight):
    left[0] -= 1
    return pack(self, weight) if left[0] else os.kill(os.getpid(), 9)
Native.pack = dying
gadfly.load(sys.argv[1], experts="mapped")
"""


def test_killed_while_packing(home: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_PACKING, GROK], check=False)
    assert ended.returncode == -9
    (left,) = (home / "cache" / "experts").glob("*/*")
    assert left.name.startswith(".packed.")
    expected = load("resident").logits(IDS)
    np.testing.assert_array_equal(load().logits(IDS), expected)
    assert not left.exists()


def test_two_processes_at_once(home: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import gadfly, sys; print(gadfly.load(sys.argv[1], experts='mapped').logits([1]))",
    ]
    running = [subprocess.Popen([*command, GROK], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(printed) == 1
    assert [path.name for path in packed_file(home).parent.iterdir()] == ["packed"]


def test_a_folder_that_cannot_be_written(home: Path) -> None:
    (home / "cache").parent.mkdir()
    (home / "cache").write_text("a file where a folder should be")
    with pytest.raises(ModelFileError, match=r"packed cannot be written: .*; take a folder you may write to"):
        load()
    load("resident")


def test_a_packed_file_is_only_read(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load().logits(IDS)
    for name in ("writing", "replacing", "_locked"):
        monkeypatch.delattr(experts, name)
    np.testing.assert_array_equal(load().logits(IDS), expected)


def test_a_full_disk_is_noticed_before_anything_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experts.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(CapacityError, match=r"has 0\.0 GB free and packed experts take .*; make room"):
        load()
    assert not list((home / "cache" / "experts").glob("*/*"))


def test_mapped_where_memory_has_no_room() -> None:
    file, folder = open_model(GROK), Path(os.environ["GADFLY_HOME"])
    for backend, other in ((Native(1), Mapped), (Reference(), Unpacked)):
        assert isinstance(expert_store(file, backend, None, 10**9, folder), Resident)
        assert isinstance(expert_store(file, backend, None, 10**5, folder), other)
        assert isinstance(expert_store(file, backend, "resident", 10**5, folder), Resident)
    with pytest.raises(RequestError, match="no place 'moon' for experts; choose resident or mapped"):
        expert_store(file, Native(1), "moon", 10**9, folder)
    dense = Weights({path: weight for path, weight in matrices() if not is_stack(weight)})
    assert isinstance(expert_store(replace(file, weights=dense), Native(1), "mapped", 0, folder), Resident)
    with pytest.raises(UnsupportedError, match="these weights lie in no file"):
        Mapped(replace(file, files=()), Native(1), folder)


RUN_IN_LITTLE_MEMORY = """
import sys, gadfly
llm = gadfly.load(sys.argv[1], experts=None if sys.argv[2] == "chosen" else sys.argv[2], threads=2)
print(llm.generate([1, 2, 3], max_tokens=8, temperature=1.0, seed=0).ids)
"""


@pytest.mark.slow
def test_a_mixture_larger_than_memory_runs(tmp_path: Path) -> None:
    experts_bytes = 2 * 4 * 16 * 3 * 512 * 2048
    model, new = tmp_path / "model", [Path(sys.executable).with_name("gadfly"), "new", "--arch", "mixtral"]
    sizes = {"layers": 4, "experts": 16, "dim": 512, "hidden": 2048, "vocab": 512}
    subprocess.run([*new, model, *(f"--{name}={value}" for name, value in sizes.items())], check=True)
    command = [sys.executable, "-c", RUN_IN_LITTLE_MEMORY, model]
    expected = subprocess.run([*command, "resident"], capture_output=True, text=True, check=True).stdout
    limit = 120_000_000 + experts_bytes // 2  # Python, libraries and all other weights; half of the experts
    for place in ("mapped", "mapped", "chosen"):
        with limited(limit) as group:
            if group is None:
                pytest.skip("no control group can be made here")
            ended = group.run([*command, place])
            assert (ended.returncode, ended.stdout) == (0, expected), ended.stderr
            assert group.peak <= limit
    with limited(limit) as group:
        assert group.run([*command, "resident"]).returncode == -9


def test_it_says_so(home: Path) -> None:
    (note,) = load().notes
    assert str(packed_file(home)) in note
    assert load("resident").notes == ()


def test_the_flag(home: Path) -> None:
    arguments = ["run", str(GROK), "Hello", "--experts"]
    assert "experts (" not in CliRunner().invoke(command, [*arguments, "resident"]).stderr
    assert not (home / "cache").exists()
    assert str(home / "cache") in CliRunner().invoke(command, [*arguments, "mapped"]).stderr
    assert packed_file(home).exists()


def test_the_reference_decodes_what_it_uses() -> None:
    expected = load("resident", backend="reference").logits(IDS)
    llm = load(backend="reference")
    np.testing.assert_array_equal(llm.logits(IDS), expected)
    assert "decoded anew" in llm.notes[0]


def test_a_matrix_over_borrowed_bytes() -> None:
    rows, columns = 24, 64
    owned = PackedMatrix("F32", rows, columns)
    values = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    owned.fill(0, values.view(np.uint8))
    assert len(owned.packed) == owned.bytes == packed_bytes("F32", rows, columns) == values.nbytes
    assert not owned.packed.flags.writeable
    room = np.zeros(owned.bytes + 64 + 4, np.uint8)
    start = -room.ctypes.data % 64
    room[start : start + owned.bytes] = owned.packed
    borrowed = PackedMatrix.over("F32", rows, columns, room[start : start + owned.bytes])
    np.testing.assert_array_equal(borrowed.packed, owned.packed)
    assert borrowed.packed.ctypes.data == room.ctypes.data + start
    with pytest.raises(ValueError, match="borrowed"):
        borrowed.fill(0, values.view(np.uint8))
    for wrong in (room[start : start + owned.bytes - 64], room[start + 4 : start + 4 + owned.bytes]):
        with pytest.raises(ValueError, match="packed bytes"):
            PackedMatrix.over("F32", rows, columns, wrong)
    with pytest.raises(ValueError, match="rows and columns"):
        packed_bytes("F32", 0, 64)
    with pytest.raises(MemoryError):
        packed_bytes("F32", 2**60, 2**60)


@pytest.mark.parametrize("name", FORMATS)
def test_layouts_are_known_before_packing(name: str, tmp_path: Path) -> None:
    file = mixture(name, tmp_path)
    for path in file.weights:
        for part in unstack(file.weights[path]):
            if len(part.shape) == 2:
                assert Native(1).pack(part).bytes == packed_bytes(layout_of(part), *part.shape)
