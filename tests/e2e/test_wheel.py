"""What people install: a wheel with everything in it and nothing else, that works away from the repository."""

import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from gadfly.hub.library import Library
from gadfly.settings import home

ROOT = Path(__file__).parents[2]
LARGEST = 200e6  # bytes of an installation, dependencies included

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", f"-Cbuild-dir={folder}/build", "-w", folder, ROOT]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], check=True)
    (made,) = folder.glob("gadfly-*.whl")
    return made


def test_the_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if not name.endswith("/")}
    package = {name for name in names if name.startswith("gadfly/")}
    assert all(name.startswith(("gadfly/", "gadfly-")) for name in names)
    assert {Path(name).suffix for name in package} == {".py", ".pyi", ".toml", ".so", ".typed"}
    source = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "gadfly").rglob("*.*") if path.is_file()}
    assert {name for name in package if not name.endswith(".so")} == {
        name for name in source if "__pycache__" not in name
    }


def test_an_installation_works_and_is_small(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python, gadfly = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "gadfly"
    empty = sum(path.stat().st_size for path in (tmp_path / "venv").rglob("*") if path.is_file())
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", wheel], check=True)
    full = sum(path.stat().st_size for path in (tmp_path / "venv").rglob("*") if path.is_file())
    assert full - empty < LARGEST

    model = Library(home()).resolve("smollm2")
    if model is None:
        pytest.skip("the default model is not here; run `make model`")
    asked = [gadfly, "run", model, "--persona", "straight", "--temperature", "0", "What is the capital of France?"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Paris" in done.stdout
    assert "smollm2" in subprocess.run([gadfly, "list", "--all"], capture_output=True, text=True, check=True).stdout
