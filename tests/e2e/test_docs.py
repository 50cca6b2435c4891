"""The documents, followed word by word: their shell and Python blocks run in order, in a home of their own.

A block is left out if a comment `<!-- not run: why -->` stands above it. A block of text right below one is what it
has to print, where "..." stands for anything. Links have to lead somewhere, and the maps have to show every package.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

from gadfly.hub.library import Library
from gadfly.settings import home

ROOT = Path(__file__).parents[2]
PLACES = ("*.md", "docs/**/*.md", "recipes/**/*.md", "benchmarks/*.md")
DOCUMENTS = sorted(document for place in PLACES for document in ROOT.glob(place))

BLOCK = re.compile(
    r"(?P<skip><!-- not run: .+? -->\n)?^```(?P<language>sh|python)\n(?P<code>.*?)^```\n"
    r"(?:```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    place: str
    language: str
    code: str
    output: str | None


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [
        Block(
            f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, match.start('code')) + 1}",
            match["language"],
            match["code"],
            match["output"],
        )
        for match in BLOCK.finditer(text)
        if not match["skip"]
    ]


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user who has pulled the default model and set nothing; `tmp_path` is their home."""
    if Library(home()).resolve("smollm2") is None:
        pytest.skip("the default model is not here; run `make model`")
    models = tmp_path / ".local" / "share" / "gadfly" / "models"
    shutil.copytree(Library(home()).folder / "smollm2", models / "smollm2", copy_function=link_or_copy)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GADFLY_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**kept, "HOME": str(tmp_path), "PATH": path, "PYTHONPATH": "", "TERM": "dumb"}


def follow(block: Block, folder: Path, environment: dict[str, str]) -> None:
    interpreter = ["bash", "-euo", "pipefail"] if block.language == "sh" else [sys.executable]
    done = subprocess.run([*interpreter, "-c", block.code], cwd=folder, env=environment, capture_output=True, text=True)
    said = f"{block.place}\n{block.code}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    if block.output is not None:
        assert OutputChecker().check_output(block.output, done.stdout, ELLIPSIS | NORMALIZE_WHITESPACE), said


@pytest.mark.parametrize(
    "document", [document for document in DOCUMENTS if blocks(document)], ids=lambda document: document.name
)
def test_what_the_document_says_works(document: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    try:
        for block in blocks(document):
            follow(block, folder, environment)
    finally:  # servers that a block has left behind, as documents write down
        for file in folder.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)


def test_every_block_is_either_run_or_says_why_not() -> None:
    fences = sum(len(re.findall(r"^```(?:sh|python)$", document.read_text(), re.MULTILINE)) for document in DOCUMENTS)
    assert fences == sum(len(BLOCK.findall(document.read_text())) for document in DOCUMENTS) > 10


def test_a_block_that_fails_or_prints_something_else_is_noticed(tmp_path: Path) -> None:
    for wrong in (Block("here:1", "sh", "false | true", None), Block("here:1", "python", "print(1 + 1)", "3\n")):
        with pytest.raises(AssertionError, match="here:1"):
            follow(wrong, tmp_path, dict(os.environ))
    follow(Block("here:1", "python", "print(1 + 1)", "...\n"), tmp_path, dict(os.environ))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            path = (document.parent / file).resolve() if file else document
            assert path.exists(), f"{document.name} points to {target}"
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_maps_show_every_package(document: str) -> None:
    packages = {path.parent.name for path in ROOT.glob("src/gadfly/*/__init__.py")}
    text = (ROOT / document).read_text()
    assert not {package for package in packages if not re.search(rf"^ +{package}/ ", text, re.MULTILINE)}


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
