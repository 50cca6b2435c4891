"""Weights in a packed file: the same bits as in memory, packed once, and made anew whenever something is wrong."""

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
from gadfly._native import PackedMatrix, ThreadPool, kernel_names, packed_bytes
from gadfly.cli.main import gadfly as command
from gadfly.errors import CapacityError, ModelFileError, UnsupportedError
from gadfly.ops.native import Native, layout_of
from gadfly.quant import FORMATS as BLOCKS
from gadfly.testing import random_weights, tiny_specs
from gadfly.weight import is_stack, unstack
from gadfly.weights import packed
from gadfly.weights.load import ModelFile, open_model
from gadfly.weights.packed import PackedFile
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
    (found,) = (home / "cache" / "packed").glob("*/packed")
    return found


def made_of(home: Path) -> bytes:
    """Tells what the packed file was made of from anything else."""
    return packed_file(home).read_bytes()[:56]


def mixture(name: str, folder: Path) -> ModelFile:
    """Random weights in a format, as if they had come from a file."""
    spec = next(spec for spec in tiny_specs().values() if any(len(shape) == 3 for _, shape in spec.shapes()))
    file = folder / "weights"
    file.write_bytes(b"whose size and time are all that counts")
    return replace(open_model(GROK), path=file, spec=spec, weights=random_weights(spec, 0, name), files=(file,))


WAYS = {"experts": {"place": "mapped"}, "all": {"place": None, "cache": True}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernels", kernel_names())
def test_the_same_bits_as_in_memory(kernels: str, way: str) -> None:
    expected = load("resident", kernels=kernels).logits(IDS)
    packing, mapped = (load(kernels=kernels, **WAYS[way]) for _ in range(2))
    np.testing.assert_array_equal(packing.logits(IDS), expected)
    np.testing.assert_array_equal(mapped.logits(IDS), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_mapped_as_it_is_packed(tmp_path: Path, name: str) -> None:
    file, backend, other = mixture(name, tmp_path), Native(2), Native(1)
    first, second = (PackedFile(file, tmp_path / "folder" / "packed") for _ in range(2))
    assert not first.open()
    first.make(Native(2))
    assert second.open()
    for weight in (file.weights[path] for path in file.weights):
        if len(weight.shape) < 2:
            continue
        mapped, resident = second.place(weight, backend), other.place(weight)
        for one, two in zip(mapped, resident, strict=True) if is_stack(weight) else [(mapped, resident)]:
            np.testing.assert_array_equal(one.packed, two.packed)
    assert backend._lossless == other._lossless


def test_it_is_packed_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(packed.Native, "pack", lambda self, weight: shapes.append(weight.shape) or PACK(self, weight))
    load(None, cache=True)
    assert not shapes
    shutil.rmtree(home / "cache")
    load(None, cache=True)  # and after it was deleted, once more
    assert shapes


def test_who_packs_is_told_how_far_it_is(home: Path) -> None:
    heard: list[tuple[int, int]] = []
    load(packing=lambda done, total: heard.append((done, total)))
    size = packed_file(home).stat().st_size
    assert heard == sorted(heard)
    assert heard[0] == (0, size)  # before any of it is written
    assert heard[-1] == (size, size)
    assert len(heard) > 10
    load(packing=lambda *_: pytest.fail("it was packed already"))


def test_interrupted_while_packing(home: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(packing=interrupt)
    assert not list((home / "cache" / "packed").glob("*/*"))
    np.testing.assert_array_equal(load().logits(IDS), load("resident").logits(IDS))


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
    before = made_of(home)
    shutil.copytree(GROK.with_name("tiny-grok-1-12layer"), model, dirs_exist_ok=True)
    llm = load(model=model)
    np.testing.assert_array_equal(llm.logits(IDS), load("resident", model=model).logits(IDS))
    changed = made_of(home)
    os.utime(next(model.glob("ckpt-0/*")))
    load(model=model)
    again = made_of(home)
    assert len({before, changed, again}) == 3
    largest = max(model.glob("ckpt-0/*"), key=lambda path: path.stat().st_size)
    kept, whole = largest.stat(), bytearray(largest.read_bytes())
    whole[-2000] ^= 1
    largest.write_bytes(whole)  # trained further, but of the same size and time
    os.utime(largest, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    load(model=model)
    assert made_of(home) != again


def test_how_layouts_are_packed_can_be_told() -> None:
    samples = {layout: packed.layout_digest(layout) for layout in (*BLOCKS, "I8")}
    assert samples == {layout: packed.layout_digest(layout) for layout in samples}
    assert samples["F16"] == samples["BF16"] and samples["Q4_0"] == samples["IQ4_NL"]  # which mean other numbers
    assert len(set(samples.values())) == len(samples) - 2


def test_a_gadfly_that_packs_otherwise_packs_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    before = made_of(home)
    monkeypatch.setattr(packed, "layout_digest", lambda layout: f"{layout} turned around")
    load()
    assert made_of(home) != before


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
    (left,) = (home / "cache" / "packed").glob("*/*")
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
        monkeypatch.delattr(packed, name)
    np.testing.assert_array_equal(load().logits(IDS), expected)


def test_a_full_disk_is_noticed_before_anything_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(CapacityError, match=r"has 0\.0 GB free and packed weights take .*; make room"):
        load()
    assert not list((home / "cache" / "packed").glob("*/*"))


def test_weights_that_lie_in_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="these weights lie in no file"):
        PackedFile(replace(open_model(GROK), files=()), tmp_path / "packed")


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


def test_a_matrix_over_borrowed_bytes() -> None:
    rows, columns = 24, 64
    owned = PackedMatrix("F32", rows, columns)
    values = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    pool = ThreadPool(2)
    owned.fill(pool, 0, values.view(np.uint8))
    assert len(owned.packed) == owned.bytes == packed_bytes("F32", rows, columns) == values.nbytes
    assert not owned.packed.flags.writeable
    room = np.zeros(owned.bytes + 64 + 4, np.uint8)
    start = -room.ctypes.data % 64
    room[start : start + owned.bytes] = owned.packed
    borrowed = PackedMatrix.over("F32", rows, columns, room[start : start + owned.bytes])
    np.testing.assert_array_equal(borrowed.packed, owned.packed)
    assert borrowed.packed.ctypes.data == room.ctypes.data + start
    with pytest.raises(ValueError, match="borrowed"):
        borrowed.fill(pool, 0, values.view(np.uint8))
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
