"""Models through the whole of it, into every kind of file and back; interrupted, resumed, refused."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gadfly
from gadfly.convert.convert import Wanted, convert
from gadfly.errors import CapacityError, GadflyError, ModelFileError, RequestError
from gadfly.hub.progress import Silent
from gadfly.weight import Int8, Stack
from gadfly.weights.gguf import GGUF
from gadfly.weights.load import open_model

from .conftest import GROK, Watched

# Root mean square error of logits, of their spread, in a random model of two layers.
BOUNDS = {"f16": 0.002, "bf16": 0.02, "q8_0": 0.03, "q6_k": 0.08, "q5_k": 0.15, "q4_k": 0.25, "q3_k": 0.5}
BOUNDS |= {"q4_0": 0.35, "q4_1": 0.35, "iq4_nl": 0.3, "iq4_xs": 0.3, "q5_0": 0.2, "q5_1": 0.2}
IDS = [5, 9, 200, 31, 7, 7, 99, 1]


def logits(path: Path) -> np.ndarray:
    return gadfly.load(path, backend="reference").logits(IDS)


def convert_to(source: Path, target: Path, **wanted: object) -> Path:
    convert(source, target, Wanted(**wanted), threads=2, progress=Silent())
    return target


@pytest.mark.parametrize("page", ["llama", "mistral", "mixtral"])
def test_float32_there_and_back_changes_nothing(write_model: Callable[..., Path], tmp_path: Path, page: str) -> None:
    source = write_model(page)
    expected = logits(source)
    gguf = convert_to(source, tmp_path / "model.gguf", format="f32")
    back = convert_to(gguf, tmp_path / "back", format="f32")
    again = convert_to(back, tmp_path / "again.gguf", format="f32")
    for path in (gguf, back, again):
        np.testing.assert_array_equal(logits(path), expected)


def test_grok_1_keeps_its_codes(tmp_path: Path) -> None:
    """Lossless: every code and scale of the release is in the folder, bit for bit."""
    kept = open_model(convert_to(GROK, tmp_path / "int8", format="int8"))
    release = open_model(GROK)
    checked = 0
    for path in release.weights:
        for ours, theirs in zip(parts(kept.weights[path]), parts(release.weights[path]), strict=True):
            if isinstance(theirs, Int8):
                np.testing.assert_array_equal(ours.codes, theirs.codes)
                np.testing.assert_array_equal(ours.scales, theirs.scales)
                checked += 1
            else:
                np.testing.assert_array_equal(ours.array, theirs.array)
    assert checked == 3 * (4 + 3 * 8)
    np.testing.assert_array_equal(logits(kept.path), logits(GROK))


def parts(weight):
    return weight.unstack() if isinstance(weight, Stack) or len(weight.shape) == 3 else (weight,)


@pytest.mark.parametrize("name", BOUNDS)
def test_quantised_models_run_and_err_as_their_bits_say(
    write_model: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    source = write_model(dim=256)
    target = convert_to(source, tmp_path / "model.gguf", format=name)
    exact = logits(source)
    error = np.sqrt(np.mean(np.square(logits(target) - exact))) / exact.std()
    assert error < BOUNDS[name]


def test_a_grok_becomes_a_gguf_with_everything_that_belongs_to_it(tmp_path: Path) -> None:
    target = convert_to(GROK, tmp_path / "grok.gguf", format="f32")
    with GGUF.open(target) as file:
        assert file.metadata["general.architecture"] == "grok"
        assert file.metadata["general.license"] == "apache-2.0"
        assert file.metadata["grok.expert_count"] == 8
        assert file.tensors["blk.2.ffn_down_exps.weight"].shape == (8, 96, 272)
        assert file.tensors["blk.0.ffn_gate_inp.weight"].format == "F32"
    np.testing.assert_allclose(logits(target), logits(GROK), atol=1e-4)


def test_a_target_size_is_kept(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model(dim=256)
    sizes = [600_000, 800_000, 1_000_000, 10_000_000]
    errors = []
    for size in sizes:
        target = convert_to(source, tmp_path / f"{size}.gguf", size=size)
        assert target.stat().st_size <= size
        errors.append(float(np.square(logits(target) - logits(source)).mean()))
    assert (tmp_path / "1000000.gguf").stat().st_size > 900_000
    assert errors == sorted(errors, reverse=True)


def test_the_bytes_do_not_depend_on_threads(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model("mixtral", dim=256)
    for threads in (1, 3):
        convert(source, tmp_path / f"{threads}.gguf", Wanted("q4_k"), threads, Silent())
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "3.gguf").read_bytes()


def test_the_sha256_is_told_and_progress_is_monotonic(
    write_model: Callable[..., Path], tmp_path: Path, watched: Watched
) -> None:
    from hashlib import sha256

    done = convert(write_model(), tmp_path / "model.gguf", Wanted("q8_0"), 2, watched)
    assert done.sha256 == {"model.gguf": sha256((tmp_path / "model.gguf").read_bytes()).hexdigest()}
    assert done.size == (tmp_path / "model.gguf").stat().st_size
    writing = watched.calls[: len(watched.calls) // 2]
    assert [call[0] for call in writing] == sorted(call[0] for call in writing)
    assert watched.calls[-1][0] == watched.calls[-1][1]
    assert not list(tmp_path.glob(".*"))


def test_a_failing_encoder_leaves_a_beginning_that_the_next_attempt_goes_on_with(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write_model("mixtral"), tmp_path / "model.gguf"
    whole = convert_to(source, tmp_path / "whole.gguf", format="q8_0").read_bytes()
    monkeypatch.setattr("gadfly.convert.write.CHECKPOINT", 20_000)
    monkeypatch.setattr("gadfly.convert.write.STRETCH", 2_000)
    encode, calls = counted(monkeypatch, fail_after=60)
    with pytest.raises(ModelFileError, match="enough"):
        convert_to(source, target, format="q8_0")
    assert not target.exists()
    first = calls[0]
    calls[0], calls[1] = 0, 10**9
    convert_to(source, target, format="q8_0")
    assert target.read_bytes() == whole
    total = calls[0] + first
    counted(monkeypatch, encode=encode)
    assert calls[0] < total - 20, "the second attempt did everything again"


def counted(monkeypatch: pytest.MonkeyPatch, fail_after: int = 10**9, encode=None):
    from gadfly.convert.encoding import Encoding

    original = encode or Encoding.encode
    calls = [0, fail_after]

    def counting(self, piece, part, rows):
        calls[0] += 1
        if calls[0] > calls[1]:
            raise ModelFileError("enough")
        return original(self, piece, part, rows)

    monkeypatch.setattr(Encoding, "encode", counting)
    return original, calls


def test_a_disk_that_lies_is_found_out(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.pwrite

    def lying(file: int, data: bytes, offset: int) -> int:
        written = bytearray(data)
        if offset > 20_000:
            written[len(written) // 2] ^= 1
        return original(file, written, offset)

    source, target = write_model(), tmp_path / "model.gguf"
    monkeypatch.setattr("gadfly.convert.write.os.pwrite", lying)
    with pytest.raises(ModelFileError, match="does not read back"):
        convert_to(source, target, format="q8_0")
    assert not target.exists()
    monkeypatch.undo()
    for _ in range(100):  # each attempt mends what the one before found
        try:
            convert_to(source, target, format="q8_0")
        except ModelFileError:
            continue
        break
    assert target.read_bytes() == convert_to(source, tmp_path / "whole.gguf", format="q8_0").read_bytes()


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shutil import disk_usage

    source = write_model()
    full = disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr("gadfly.convert.convert.shutil.disk_usage", lambda _: full)
    with pytest.raises(CapacityError, match="make room"):
        convert_to(source, tmp_path / "model.gguf", format="q8_0")


@pytest.mark.parametrize(
    ("target", "wanted", "message"),
    [
        ("there.gguf", {"format": "q4_k"}, "exists"),
        ("new.gguf", {"format": "q4_m"}, "choose"),
        ("new", {"format": "q4_k"}, "folder of safetensors holds"),
        ("new", {"size": 10**9}, "in a .gguf file only"),
        ("new", {"format": "int8"}, "no int8 weights"),
        ("new.gguf", {"size": 1000}, "the smallest"),
    ],
)
def test_what_cannot_be_is_refused(
    write_model: Callable[..., Path], tmp_path: Path, target: str, wanted: dict[str, object], message: str
) -> None:
    (tmp_path / "there.gguf").write_bytes(b"mine")
    with pytest.raises(RequestError, match=message):
        convert_to(write_model(), tmp_path / target, **wanted)
    assert (tmp_path / "there.gguf").read_bytes() == b"mine"


def test_weights_that_no_format_holds_are_an_error(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model()
    file = source / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-400_000:-399_996] = np.float32(np.nan).tobytes()
    file.write_bytes(data)
    with pytest.raises(GadflyError, match="NaN"):
        convert_to(source, tmp_path / "model.gguf", format="q4_0", pure=True)


def stop_after(monkeypatch: pytest.MonkeyPatch, source: Path, target: Path, stretches: int, **wanted: object) -> None:
    """A conversion that ends in the middle."""
    with monkeypatch.context() as patched:
        patched.setattr("gadfly.convert.write.CHECKPOINT", 20_000)
        patched.setattr("gadfly.convert.write.STRETCH", 2_000)
        counted(patched, fail_after=stretches)
        with pytest.raises(ModelFileError, match="enough"):
            convert_to(source, target, **wanted)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_nothing_of_another_plan_is_left_in_the_target(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_model()
    with monkeypatch.context() as patched:
        patched.setattr("gadfly.convert.layout.safetensors_parts", small_parts)
        stop_after(monkeypatch, source, tmp_path / "copy", 30, format="f32")
    stop_after(monkeypatch, source, tmp_path / "model.gguf", 60, format="f32")
    copy = convert_to(source, tmp_path / "copy", format="f16")
    assert contents(copy) == contents(convert_to(source, tmp_path / "other", format="f16"))
    target = convert_to(source, tmp_path / "model.gguf", format="q8_0")  # shorter, with padding where numbers were
    assert target.read_bytes() == convert_to(source, tmp_path / "other.gguf", format="q8_0").read_bytes()


def test_ctrl_c_loses_nothing(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: Watched
) -> None:
    source, target = write_model(), tmp_path / "model.gguf"
    whole = convert_to(source, tmp_path / "whole.gguf", format="q8_0").read_bytes()

    class Stopped(Watched):
        def advance(self, done: int, total: int | None) -> None:
            super().advance(done, total)
            if len(self.calls) == 30:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gadfly.convert.write.STRETCH", 2_000)
        stopped = Stopped()
        with pytest.raises(KeyboardInterrupt):
            convert(source, target, Wanted("q8_0"), 2, stopped)
        convert(source, target, Wanted("q8_0"), 2, watched)
    assert stopped.notes[-1].endswith(str(tmp_path / ".model.gguf.converting"))
    assert watched.calls[0][0] > stopped.calls[-1][0]
    assert target.read_bytes() == whole


def small_parts(sizes):
    from gadfly.weights.safetensors_writer import safetensors_parts

    return safetensors_parts(sizes, 100_000)


def test_a_source_that_changed_meanwhile_is_read_anew(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write_model(seed=0), tmp_path / "model.gguf"
    stop_after(monkeypatch, source, target, 60, format="q8_0")
    other = write_model(seed=1, name="other")
    (source / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    convert_to(source, target, format="q8_0")
    np.testing.assert_array_equal(logits(target), logits(convert_to(other, tmp_path / "o.gguf", format="q8_0")))


def test_a_target_in_the_folder_of_its_source_is_resumed_too(
    write_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, watched: Watched
) -> None:
    source = write_model()
    monkeypatch.chdir(source)
    stop_after(monkeypatch, Path(), Path("model.gguf"), 60, format="q8_0")
    convert(source, source / "model.gguf", Wanted("q8_0"), 2, watched)
    assert watched.notes[0].startswith("going on")


def test_a_target_in_a_folder_that_does_not_exist_yet(write_model: Callable[..., Path], tmp_path: Path) -> None:
    assert convert_to(write_model(), tmp_path / "new" / "er" / "model.gguf").exists()


def test_two_conversions_to_one_target_are_one_too_many(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source, target = write_model(), tmp_path / "model.gguf"

    class Second(Silent):
        def note(self, text: str) -> None:  # noqa: ARG002
            with pytest.raises(RequestError, match="another process is converting"):
                convert_to(source, target)

    convert(source, target, Wanted(), 2, Second())
    assert target.exists()


@pytest.mark.parametrize("name", ["model.gguf", "copy"])
def test_what_is_left_of_a_process_that_died_when_all_was_done_is_in_nobodys_way(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source, target = write_model(), tmp_path / name

    def died(_: Path) -> None:
        raise ModelFileError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("gadfly.convert.convert.shutil.rmtree", died)
        with pytest.raises(ModelFileError, match="killed"):
            convert_to(source, target)
    first = target.rename(tmp_path / f"first-{name}")
    convert_to(source, target)
    np.testing.assert_array_equal(logits(first), logits(target))
    assert not list(tmp_path.glob(".*"))


def test_a_disk_that_fills_up_in_the_middle(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: Watched
) -> None:
    source, target = write_model(), tmp_path / "model.gguf"
    original, room = os.pwrite, 60_000

    def full(file: int, data: bytes, offset: int) -> int:
        if offset > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(file, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr("gadfly.convert.write.CHECKPOINT", 20_000)
        patched.setattr("gadfly.convert.write.os.pwrite", full)
        with pytest.raises(CapacityError, match="make room and try again"):
            convert_to(source, target, format="q8_0")
    convert(source, target, Wanted("q8_0"), 2, watched)
    assert watched.notes[0].startswith("going on")
    assert target.read_bytes() == convert_to(source, tmp_path / "whole.gguf", format="q8_0").read_bytes()


KILLED = """
import sys
from pathlib import Path
import gadfly.convert.write as write
from gadfly.convert.convert import Wanted, convert
from gadfly.hub.progress import Silent
write.CHECKPOINT, write.STRETCH = 200_000, 20_000
class Loud(Silent):
    def advance(self, done, total):
        print(done, flush=True)
convert(Path(sys.argv[1]), Path(sys.argv[2]), Wanted("q4_k"), 2, Loud())
"""


def test_kill_9_at_any_moment_loses_at_most_what_came_after_a_checkpoint(
    write_model: Callable[..., Path], tmp_path: Path
) -> None:
    source, target = write_model("mixtral", dim=256), tmp_path / "model.gguf"
    expected = convert_to(source, tmp_path / "whole.gguf", format="q4_k").read_bytes()
    command = [sys.executable, "-c", KILLED, str(source), str(target)]
    resumed = 0
    for kill_at in (300_000, 700_000, 1_100_000):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            resumed = max(resumed, first)
            for line in process.stdout:
                if int(line) > kill_at:
                    break
            process.send_signal(signal.SIGKILL)
        assert not target.exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    assert target.read_bytes() == expected
    assert resumed > 200_000, "no attempt went on where another stopped"


def test_a_folder_says_what_it_is(write_model: Callable[..., Path], tmp_path: Path) -> None:
    target = convert_to(write_model(), tmp_path / "copy")
    config = json.loads((target / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["torch_dtype"] == "bfloat16"
