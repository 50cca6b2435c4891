"""What lies in the repository: generated files are up to date, and nothing points outside."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    """Text files of the repository, those not committed yet included."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_the_stub_is_what_the_extension_says_of_itself(tmp_path: Path) -> None:
    made = tmp_path / "_native.pyi"
    subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "gadfly._native", "-o", made], check=True)
    subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-q", "--config", ROOT / "pyproject.toml", made], check=True
    )
    committed = ROOT / "src" / "gadfly" / "_native.pyi"
    assert committed.read_text() == made.read_text(), "the stub is out of date; run `make stubs`"


# Somebody's machine, in a text that is meant for everybody's.
PLACES = re.compile(r"(?<![\w.$}~/-])/(?:work|home|Users|mnt|srv)/[\w.-]+")


def test_nothing_points_to_a_place_on_one_machine() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match}"
        for path in tracked()
        if path.suffix not in (".gguf", ".npz", ".model", ".png") and path != Path(__file__)
        for match in PLACES.findall(path.read_text(errors="replace"))
    }
    assert not found


def test_the_pattern_for_places_finds_some() -> None:
    assert PLACES.findall("see /mnt/x/y, `/home/ann/a.gguf`") == ["/mnt/x", "/home/ann"]
    assert not PLACES.findall("https://example.org/home/page ~/work/it")
