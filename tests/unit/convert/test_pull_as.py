"""Repositories of original weights, converted on the way: every file fetched once, checked, used and discarded."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gadfly
from gadfly.convert.convert import Wanted, convert
from gadfly.convert.pull_as import pull_as
from gadfly.convert.remote import Remote
from gadfly.errors import CapacityError, DownloadError, GadflyError, ModelFileError, RequestError, UnsupportedError
from gadfly.hub.library import Library
from gadfly.hub.progress import Silent
from gadfly.hub.pull import Network, pull
from hub_server import COMMIT, HubServer, Served

from .conftest import GROK

IDS = [5, 9, 200, 31, 7]


def published(hub: HubServer, folder: Path) -> dict[str, Served]:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return hub.add_repository("owner/model", files)


def bring(library: Library, network: Network, wanted: Wanted, name: str | None = None, threads: int = 2):
    return pull_as("owner/model", library, network, wanted, threads, Silent(), name)


@pytest.mark.parametrize("page", ["llama", "mixtral"])
def test_a_repository_of_safetensors(
    hub: HubServer, library: Library, network: Network, write_model: Callable[..., Path], tmp_path: Path, page: str
) -> None:
    folder = write_model(page, largest=100_000)
    served = published(hub, folder)
    pulled = bring(library, network, Wanted("q8_0"))
    assert pulled.new
    assert pulled.entry.path == library.resolve("model")
    convert(folder, tmp_path / "model.gguf", Wanted("q8_0"), 2, Silent())
    ours, theirs = (
        gadfly.load(path, backend="reference").logits(IDS) for path in (pulled.entry.path, tmp_path / "model.gguf")
    )
    np.testing.assert_array_equal(ours, theirs)
    for name in (name for name in served if name.endswith(".safetensors")):
        whole = [asked for asked in hub.ranges(f"/owner/model/resolve/{COMMIT}/{name}") if asked is None]
        assert len(whole) == 1, f"{name} was fetched {len(whole)} times"
    assert [path.name for path in pulled.entry.path.parent.iterdir() if "source" in path.name] == []
    assert bring(library, network, Wanted("q8_0")).new is False


def test_a_grok_1(hub: HubServer, library: Library, network: Network) -> None:
    published(hub, GROK)
    entry = bring(library, network, Wanted("f32"), name="grok").entry
    expected = gadfly.load(GROK, backend="reference").logits(IDS)
    np.testing.assert_allclose(gadfly.load(entry.path, backend="reference").logits(IDS), expected, atol=1e-4)


def test_the_disk_never_holds_much_of_the_source(
    hub: HubServer, library: Library, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(hub, GROK)
    monkeypatch.setattr("gadfly.convert.write.CHECKPOINT", 100_000)
    largest = 0
    from gadfly.convert.fetched import Fetched

    original = Fetched.here

    def watching(self: Fetched, name: str) -> Path:
        nonlocal largest
        path = original(self, name)
        largest = max(largest, sum(p.stat().st_size for p in self.folder.rglob("tensor*")))
        return path

    monkeypatch.setattr(Fetched, "here", watching)
    bring(library, network, Wanted("q8_0"))
    assert 200_000 < largest < 900_000, "of 2.3 MB"


def test_a_size_fetches_nothing_twice_and_keeps_nothing_longer(
    hub: HubServer, library: Library, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of formats are not measured on weights that are not here."""
    served = published(hub, GROK)
    planned = []
    original = Remote.need

    def watching(self: Remote, tensors) -> None:
        planned.append([asked.path for asked in hub.requests if "tensor" in asked.path])
        original(self, tensors)

    monkeypatch.setattr(Remote, "need", watching)
    entry = bring(library, network, Wanted(size=2_300_000)).entry
    assert 2_100_000 < entry.path.stat().st_size <= 2_300_000
    assert planned == [[]], "fetched before the plan was made"
    for name in (name for name in served if "tensor0" in name):
        assert len(hub.ranges(f"/owner/model/resolve/{COMMIT}/{name}")) == 1


@pytest.mark.parametrize("said", [7, None, [], "", "LlamaForCausalLM", [7], [["LlamaForCausalLM"]], {"0": "x"}])
def test_a_config_that_lies_is_refused(
    hub: HubServer, library: Library, network: Network, write_model: Callable[..., Path], said: object
) -> None:
    folder = write_model()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": said}))
    published(hub, folder)
    with pytest.raises(ModelFileError, match="a list of one name"):
        bring(library, network, Wanted("q8_0"))


def test_what_arrives_damaged_is_not_used(
    hub: HubServer, library: Library, network: Network, write_model: Callable[..., Path]
) -> None:
    served = published(hub, write_model())
    body = bytearray(served["model.safetensors"].body)
    body[-5] ^= 1
    served["model.safetensors"].body = bytes(body)
    with pytest.raises(DownloadError, match="sha256"):
        bring(library, network, Wanted("q8_0"))
    assert library.resolve("model") is None


def test_a_file_that_lies_about_its_header_is_refused(
    hub: HubServer, library: Library, network: Network, write_model: Callable[..., Path]
) -> None:
    served = published(hub, write_model())
    served["model.safetensors"].body = b"\xff" * 8 + served["model.safetensors"].body[8:]
    with pytest.raises(GadflyError, match="header"):
        bring(library, network, Wanted("q8_0"))


@pytest.mark.parametrize("name", ["../evil.safetensors", "a/../b.safetensors", "/etc/passwd.safetensors", "..", "a//b"])
def test_names_that_a_server_chose_never_leave_the_folder(
    hub: HubServer, library: Library, network: Network, write_model: Callable[..., Path], name: str
) -> None:
    folder = write_model()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.add_repository("owner/model", {**files, name: b"x" * 100})
    bring(library, network, Wanted("q8_0"))
    assert not list(library.folder.parent.parent.rglob("*evil*"))


def test_a_file_of_unknown_origin_in_the_library_is_replaced(
    hub: HubServer, library: Library, network: Network, write_model: Callable[..., Path]
) -> None:
    published(hub, write_model())
    left = library.place("model")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    assert bring(library, network, Wanted("q8_0")).entry.path.read_bytes()[:4] == b"GGUF"


def test_what_cannot_be_pulled_so_says_why(hub: HubServer, library: Library, network: Network) -> None:
    hub.add_repository("owner/model", {"pytorch_model.bin": b"x"})
    with pytest.raises(UnsupportedError, match="neither safetensors"):
        bring(library, network, Wanted("q8_0"))
    with pytest.raises(RequestError, match="converted already"):
        pull_as("smollm2", library, network, Wanted("q8_0"), 1, Silent(), None)
    with pytest.raises(RequestError, match="--as converts a repository"):
        pull_as("owner/model:Q4_0", library, network, Wanted("q8_0"), 1, Silent(), None)
    with pytest.raises(UnsupportedError, match="gadfly pull grok-1 --as q4_k"):
        pull("grok-1", library, network)


def test_room_for_the_result_and_some_of_the_source_is_asked_for_first(
    hub: HubServer, library: Library, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shutil import disk_usage

    published(hub, GROK)
    full = disk_usage("/")._replace(free=4_000_000_000)
    monkeypatch.setattr("gadfly.hub.disk.shutil.disk_usage", lambda _: full)
    with pytest.raises(CapacityError, match="free"):
        bring(library, network, Wanted("q8_0"))
    assert not [asked for asked in hub.requests if "tensor" in asked.path]


KILLED = """
import sys
from pathlib import Path
import gadfly.convert.write as write
from gadfly.convert.convert import Wanted
from gadfly.convert.pull_as import pull_as
from gadfly.convert.remote import Remote
from gadfly.hub.hugging_face import HuggingFace
from gadfly.hub.library import Library
from gadfly.hub.progress import Silent
from gadfly.hub.pull import Network
write.CHECKPOINT, write.STRETCH = 100_000, 20_000
class Loud(Silent):
    def advance(self, done, total):
        print(done, flush=True)
pull_as("owner/model", Library(Path(sys.argv[1])), Network(HuggingFace(sys.argv[2])), Wanted("q8_0"), 2, Loud(), None)
"""


def test_kill_9_and_again_fetches_only_what_is_missing(hub: HubServer, library: Library) -> None:
    published(hub, GROK)
    command = [sys.executable, "-c", KILLED, str(library.folder.parent), hub.address]
    for kill_at in (400_000, 1_000_000):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) > kill_at:
                    break
            process.send_signal(signal.SIGKILL)
        assert library.resolve("model") is None
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    tensors = [asked.path for asked in hub.requests if "/ckpt-0/" in asked.path]
    assert len(set(tensors)) == 38
    assert len(tensors) < 38 + 2 * 12, "much was fetched again"
    path = library.resolve("model")
    assert path is not None
    exact = gadfly.load(GROK, backend="reference").logits(IDS)
    found = gadfly.load(path, backend="reference").logits(IDS)
    assert np.sqrt(np.mean(np.square(found - exact))) < 0.1 * exact.std()
