"""A promise of memory: who keeps it, who refuses it, and that it holds where the system counts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import gadfly
from gadfly.cli.main import gadfly as command
from gadfly.errors import CapacityError, RequestError, UnsupportedError
from memory_group import limited

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"
MB = 10**6


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_fits_is_in_memory_and_what_does_not_is_refused_with_what_would_do() -> None:
    gadfly.load(GROK).generate([1, 2, 3], max_tokens=2)  # imports what the process takes anyway
    for place in ("resident", "streamed", "mapped"):
        with pytest.raises(
            CapacityError, match=r"0\.09 GiB of memory are too little .*; ([0-9.]+)GiB are enough"
        ) as no:
            gadfly.load(GROK, memory=100 * MB, experts=place)
        least = re.search(r"([0-9.]+)GiB are", str(no.value))
        enough = f"{float(least[1]) + 0.1:.2f}GiB"  # the process takes a little more or less from one load to the next
        gadfly.load(GROK, memory=enough, experts=place).generate([1, 2, 3], max_tokens=2)
    assert gadfly.load(GROK, memory="4GB").reads() is None


@pytest.mark.parametrize("memory", ["much", "", "-1GB", "0", 0, -5, True, 1.5, "8 TB of it"])
def test_no_size(memory) -> None:
    with pytest.raises(RequestError, match=r"memory is .*; write it as 8GiB or 64GB"):
        gadfly.load(GROK, memory=memory)


def test_the_reference_promises_nothing() -> None:
    with pytest.raises(UnsupportedError, match="only the native backend keeps a promise of memory"):
        gadfly.load(GROK, memory="4GB", backend="reference")


def test_the_flag_and_the_setting(home: Path) -> None:
    arguments = ["run", str(GROK), "Hello"]

    def refusal(*more: str) -> str:
        return str(CliRunner().invoke(command, [*arguments, *more]).exception)

    assert "0.06 GiB of memory are too little" in refusal("--memory", "64MB")
    assert "--memory is 'lots'; expected a size" in refusal("--memory", "lots")
    home.mkdir()
    (home / "gadfly.toml").write_text('memory = "64MB"\n')
    assert "0.06 GiB of memory are too little" in refusal()
    assert not (home / "cache").exists()  # nothing is packed for a promise that cannot be kept


ANSWER = """
import sys, gadfly
from threading import Thread
cache = {"keep": True, "none": False}.get(sys.argv[4]) if len(sys.argv) > 4 else None
llm = gadfly.load(sys.argv[1], memory=int(sys.argv[2]) or None, threads=2, contexts=4, cache=cache)
ids = [(7 * i) % 512 for i in range(int(sys.argv[3]))]
print(llm.generate(ids, max_tokens=8, temperature=1.0, seed=0).ids, llm.reads() and round(llm.reads().hits, 2))
crowd = [Thread(target=llm.generate, args=([i, *ids[:200]],), kwargs={"max_tokens": 4}) for i in range(8)]
for one in crowd: one.start()
for one in crowd: one.join()
"""


@pytest.mark.slow
def test_it_holds_where_the_system_counts(tmp_path: Path) -> None:
    """Packing included, with a limit that would kill who breaks it, and with one that leaves room to."""
    sizes = {"layers": 6, "experts": 16, "dim": 512, "hidden": 2048, "vocab": 512, "context": 4096}
    new = [Path(sys.executable).with_name("gadfly"), "new", "--arch", "mixtral", tmp_path / "model"]
    subprocess.run([*new, *(f"--{name}={value}" for name, value in sizes.items())], check=True)
    run = [sys.executable, "-c", ANSWER, tmp_path / "model"]
    expected = subprocess.run([*run, "0", "3000"], capture_output=True, text=True, check=True).stdout.split(")")[0]
    for promise, limit in [(480 * MB, 480 * MB), (480 * MB, 4000 * MB), (700 * MB, 4000 * MB)]:
        with limited(limit) as group:
            if group is None:
                pytest.skip("no control group can be made here")
            ended = group.run([*run, str(promise), "3000"])
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout.split(")")[0] == expected
            assert ended.stdout.strip().split(")")[1] != "None"
            assert group.peak <= promise


@pytest.mark.slow
@pytest.mark.parametrize("way", ["keep", "none", "prepared"])
@pytest.mark.parametrize("arch", ["llama", "mixtral"])
def test_it_holds_wherever_layers_and_experts_are_read_from(tmp_path: Path, arch: str, way: str) -> None:
    sizes = {"layers": 12, "dim": 768, "hidden": 3072, "vocab": 512, "context": 2048}
    if arch == "mixtral":
        sizes |= {"layers": 6, "experts": 16, "dim": 512, "hidden": 2048}
    gadfly_command, model = Path(sys.executable).with_name("gadfly"), tmp_path / "model.gguf"
    new = [gadfly_command, "new", "--arch", arch, tmp_path / "model"]
    subprocess.run([*new, *(f"--{name}={value}" for name, value in sizes.items())], check=True)
    convert = [gadfly_command, "convert", tmp_path / "model", model, "--as", "q8_0"]
    subprocess.run([*convert, *(["--for", "streaming"] if way == "prepared" else [])], check=True)
    run = [sys.executable, "-c", ANSWER, model]
    expected = subprocess.run([*run, "0", "1500"], capture_output=True, text=True, check=True).stdout.split(")")[0]
    asked = subprocess.run([*run, str(100 * MB), "1500"], capture_output=True, text=True, check=False).stderr
    least = re.search(r"([0-9.]+)GiB are enough", asked)
    assert least, asked
    promise = round((float(least[1]) + 0.04) * 2**30)
    with limited(promise) as group:
        if group is None:
            pytest.skip("no control group can be made here")
        ended = group.run([*run, str(promise), "1500", way])
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.split(")")[0] == expected
        assert ended.stdout.strip().split(")")[1].strip() != "None"
        assert group.peak <= promise
