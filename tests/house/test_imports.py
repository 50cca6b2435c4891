"""Who knows whom: the contracts in pyproject.toml hold, and they bite; and what a first import does not cost."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gadfly

SOURCE = Path(gadfly.__file__).parent
ROOT = SOURCE.parents[1]

WRONG = {
    "engine/pages.py": "from gadfly.text.utf8 import decode_utf8",
    "model/cost.py": "from gadfly.ops.native import Native",
    "engine/executor.py": "import gadfly.weights.gguf",
    "api/fields.py": "import gadfly.text",
    "weights/gguf.py": "from gadfly._native import kernel_names",
    "hub/plan.py": "import rich",
    "ops/reference.py": "import torch",
    "api/answer.py": "import gadfly.server.application",
    "a_new_module.py": "",  # which has no place in the layers yet
}


def lint(folder: Path) -> dict[str, str]:
    """Contracts and what became of them, for the package gadfly in `folder`."""
    # -S: without the editable installation, which would win over the folder.
    paths = os.pathsep.join([str(folder), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    found = dict(re.findall(r"^(.+) (KEPT|BROKEN)", done.stdout, re.MULTILINE))
    assert found, done.stdout + done.stderr
    return found


def test_contracts_hold_and_every_one_notices_a_wrong_import(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    copy = shutil.copytree(SOURCE, tmp_path / "gadfly", ignore=shutil.ignore_patterns("__pycache__"))
    assert set(lint(tmp_path).values()) == {"KEPT"}
    for file, line in WRONG.items():
        with (copy / file).open("a") as opened:
            opened.write(f"\n{line}\n")
    assert set(lint(tmp_path).values()) == {"BROKEN"}


FRAMEWORKS = {"torch", "fastapi", "starlette", "uvicorn", "uvloop", "orjson", "prometheus_client"}
HEAVY = FRAMEWORKS | {"numpy", "tokenizers", "sentencepiece", "jinja2", "httpx2", "rich", "prompt_toolkit"}


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import gadfly", HEAVY | {"click", "gadfly._native"}),
        ("from gadfly.cli.main import main; main(['--help'])", HEAVY | {"gadfly._native"}),
        ("from gadfly.cli.main import main; main(['list'])", FRAMEWORKS | {"numpy", "rich", "gadfly._native"}),
        ("from gadfly.cli.main import main; main(['keys', 'list'])", FRAMEWORKS | {"numpy", "rich", "gadfly._native"}),
        ("from gadfly.cli.main import main; main(['serve', '--help'])", FRAMEWORKS | {"numpy", "gadfly._native"}),
        ("import gadfly.llm", FRAMEWORKS | {"rich", "prompt_toolkit", "click", "llguidance", "sentencepiece"}),
        ("import gadfly.llm", {"sqlite3", "gadfly.chat.store", "gadfly.chat.tools.toolbox", "gadfly.chat.tools.file"}),
        ("import gadfly.llm", {"importlib.metadata", "gadfly.weights.grok_release", "gadfly.weights.hf_model"}),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code: str, unwanted: set[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules, sep=chr(10))"],
        env={**os.environ, "GADFLY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "gadfly" in loaded and not loaded & unwanted
