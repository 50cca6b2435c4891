"""From what is typed to an entry of the library: the whole way, interrupted in every place."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from gadfly.errors import (
    CapacityError,
    DownloadError,
    NotFoundError,
    RequestError,
    SettingsError,
    UnsupportedError,
)
from gadfly.hub.catalogue import Catalogue
from gadfly.hub.connection import Patience
from gadfly.hub.library import Library
from gadfly.hub.pull import ensure, pull
from gadfly.hub.sources import Address, HubFile, Wanted
from hub_server import Served, gguf

BODY = gguf(300_000)
OTHER = gguf(200_000, seed=1)
FILE = "/owner/model/resolve/0123456789abcdef0123456789abcdef01234567/model-Q4_0.gguf"


@pytest.fixture(autouse=True)
def served(hub):
    return hub.add_repository("owner/model", {"model-Q4_0.gguf": BODY, "model-Q8_0.gguf": OTHER})


def catalogued(monkeypatch, **changes):
    """Let the catalogue have a model called `tiny`."""
    tiny = replace(Catalogue.load()["smollm2"], name="tiny", **changes)
    monkeypatch.setattr(Catalogue, "load", lambda: Catalogue({"tiny": tiny}))


def test_a_repository(hub, library, network, recorder):
    pulled = pull("owner/model", library, network, recorder)
    entry = pulled.entry
    assert pulled.new and entry.path.read_bytes() == BODY and entry.path.name == "model-q4_0.gguf"
    assert (entry.name, entry.licence, entry.reference, entry.kept) == (
        "model-q4_0",
        "Apache-2.0",
        "owner/model",
        "file",
    )
    assert entry.source == hub.address + FILE and entry.sha256 == sha256(BODY).hexdigest()
    assert library.list() == [entry]
    asked = len(hub.requests)
    assert pull("owner/model", library, network) == replace(pulled, new=False)
    assert len(hub.requests) == asked, "what is here needs no network"
    assert pull("owner/model:q4_0", library, network).new is False, "the same file under another reference"


def test_a_quantisation_under_a_name_of_ones_own(library, network):
    entry = pull("owner/model:Q8_0", library, network, name="mine").entry
    assert entry.name == "mine" and entry.path.read_bytes() == OTHER
    with pytest.raises(
        RequestError, match=r"the name mine is taken by .*; choose another one: gadfly pull owner/model --n"
    ):
        pull("owner/model", library, network, name="mine")
    assert library.find("mine") == entry


@pytest.mark.parametrize("name", ["", "UPPER", "../x", "a b", "x" * 101, ".hidden"])
def test_names_that_are_none(library, network, name):
    with pytest.raises(RequestError, match="is no name for a model"):
        pull("owner/model", library, network, name=name)


def test_a_split_model_is_fetched_whole(hub, library, network):
    parts = {f"big-Q4_0-0000{i}-of-00003.gguf": gguf(100_000 + i, seed=i) for i in (1, 2, 3)}
    hub.add_repository("owner/big", parts)
    entry = pull("owner/big", library, network).entry
    assert [file.path.read_bytes() for file in entry.files] == list(parts.values())
    assert entry.path.name == "big-q4_0-00001-of-00003.gguf" and entry.size == 300_006


def test_an_address(hub, library, network):
    hub.files["/some/Model File (1).GGUF"] = Served(BODY)
    url = f"{hub.address}/some/Model%20File%20(1).GGUF?key=secret"
    entry = pull(url, library, network).entry
    assert entry.path.read_bytes() == BODY and entry.licence is None
    assert "secret" not in (library.folder / entry.name / "model.json").read_text()
    assert pull(url, library, network).new is False


@pytest.mark.parametrize("name", ["../../../../tmp/evil.gguf", "/etc/evil.gguf", "..\\..\\evil.gguf", "a\u202e.gguf"])
def test_no_name_from_a_server_becomes_a_path(hub, tmp_path, network, name):
    library = Library(tmp_path / "deep" / "er" / "home")
    hub.add_repository("owner/model", {name: BODY})
    try:
        entry = pull("owner/model", library, network).entry
        assert entry.path.parent.parent == library.folder
    except DownloadError:
        pass
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(library.folder in path.parents for path in written)


def test_the_catalogue_goes_from_source_to_source(hub, library, network, monkeypatch, recorder):
    hub.files["/wrong.gguf"] = Served(gguf(300_000, seed=5))
    hub.files["/short.gguf"] = Served(BODY[:-1])
    hub.files["/right.gguf"] = Served(BODY)
    dead = Address("http://127.0.0.1:9/model.gguf")
    sources = (
        dead,
        HubFile("no/body", "x.gguf"),
        *(Address(f"{hub.address}/{n}.gguf") for n in ("wrong", "short", "right")),
    )
    catalogued(monkeypatch, files=(Wanted(sources, len(BODY), sha256(BODY).hexdigest()),))
    entry = pull("tiny", library, network, recorder).entry
    assert entry.path.read_bytes() == BODY and entry.source.endswith("/right.gguf") and entry.licence == "Apache-2.0"
    assert sum("trying the next source" in note for note in recorder.notes) == 4


def test_when_no_source_delivers_every_reason_is_given(hub, library, network, monkeypatch):
    sources = (Address("http://127.0.0.1:9/model.gguf"), Address(f"{hub.address}/gone.gguf"))
    catalogued(monkeypatch, files=(Wanted(sources),))
    with pytest.raises(DownloadError, match=r"cannot be reached.*; .*does not exist \(404\)") as caught:
        pull("tiny", library, network)
    assert "\n" not in str(caught.value)
    assert library.list() == [] and not library.place("tiny").exists()


def test_a_source_that_never_answers_is_skipped(hub, library, network, monkeypatch, recorder):
    hub.files["/silent.gguf"] = Served(silent=True)
    hub.files["/right.gguf"] = Served(BODY)
    sources = (Address(f"{hub.address}/silent.gguf"), Address(f"{hub.address}/right.gguf"))
    catalogued(monkeypatch, files=(Wanted(sources, len(BODY), sha256(BODY).hexdigest()),))
    pull("tiny", library, replace(network, patience=Patience(answer=0.5)), recorder)
    assert "127.0.0.1 did not answer within 0.5 s; trying the next source" in recorder.notes


def test_the_token_is_for_the_hub_only(hub, served, library, network):
    served["model-Q4_0.gguf"].needs_token = "hf_secret"
    with pytest.raises(DownloadError, match="needs permission"):
        pull("owner/model", library, network)
    trusted = replace(network, hub=replace(network.hub, token="hf_secret"))
    pull("owner/model", library, trusted)
    hub.files["/x.gguf"] = Served(OTHER)
    pull(hub.address.replace("127.0.0.1", "localhost") + "/x.gguf", library, trusted)
    assert "authorization" not in hub.requests[-1].headers


def test_planned_and_unknown_names(library, network):
    with pytest.raises(UnsupportedError, match="grok-2 is planned, not there yet: "):
        pull("grok-2", library, network)
    with pytest.raises(NotFoundError, match="did you mean mistral-7b"):
        pull("mistal-7b", library, network)
    assert not library.folder.exists()


def test_offline_is_offline(hub, library, network):
    offline = replace(network, offline=True)
    for text in ("owner/model", "smollm2", f"{hub.address}{FILE}"):
        with pytest.raises(NotFoundError, match="offline mode forbids fetching it"):
            pull(text, library, offline)
    with pytest.raises(NotFoundError, match="did you mean"):
        pull("smolm2", library, offline)
    assert not offline.answers() and not hub.requests
    pull("owner/model", library, network)
    assert pull("owner/model", library, offline).new is False


def test_whether_the_hub_answers(network):
    assert network.answers()
    assert not replace(network, hub=replace(network.hub, endpoint="http://127.0.0.1:9")).answers()


def test_ensure_takes_what_is_here_or_pulls(hub, library, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    path = ensure("owner/model", library)
    assert path.read_bytes() == BODY
    asked = len(hub.requests)
    assert ensure("owner/model", library) == ensure("model-q4_0", library) == ensure(str(path), library) == path
    assert len(hub.requests) == asked
    with pytest.raises(NotFoundError, match="offline"):
        ensure("owner/other", library, offline=True)
    with pytest.raises(NotFoundError, match="there is no file"):
        ensure(str(tmp_path / "gone.gguf"), library)


def test_a_model_whose_file_was_cut_is_fetched_again(library, network):
    entry = pull("owner/model", library, network).entry
    entry.path.write_bytes(BODY[:1000])
    again = pull("owner/model", library, network)
    assert again.new and again.entry.path.read_bytes() == BODY


def test_a_file_that_was_in_place_before_the_manifest_is_not_fetched_again(hub, library, network):
    entry = pull("owner/model", library, network).entry
    (library.folder / entry.name / "model.json").unlink()  # as if killed just before
    pull("owner/model", library, network)
    assert hub.ranges(FILE) == [None]


def test_two_pulls_at_once_fetch_once(hub, served, library, network, recorder):
    served["model-Q4_0.gguf"].hold_after = 1000
    first = threading.Thread(target=pull, args=("owner/model", library, network))
    first.start()
    waiting = threading.Event()
    recorder.note = lambda text: (recorder.notes.append(text), waiting.set())
    assert hub.holding.wait(10)
    second = threading.Thread(target=pull, args=("owner/model", library, network, recorder))
    second.start()
    assert waiting.wait(10)
    assert recorder.notes == ["another pull of model-q4_0 is running; waiting"]
    hub.release.set()
    first.join(10)
    second.join(10)
    assert hub.ranges(FILE) == [None] and library.find("model-q4_0").path.read_bytes() == BODY


PULLER = """
import resource, sys
from pathlib import Path
from gadfly.errors import GadflyError
from gadfly.hub.hugging_face import HuggingFace
from gadfly.hub.library import Library
from gadfly.hub.pull import Network, pull

class Telling:
    def note(self, text): pass
    def advance(self, done, total): print(done, flush=True)

home, endpoint, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    pull("owner/model", Library(Path(home)), Network(HuggingFace(endpoint)), Telling())
except GadflyError as error:
    print(type(error).__name__, error, file=sys.stderr)
    sys.exit(2)
"""


def puller(library: Library, endpoint: str, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PULLER, str(library.folder.parent), endpoint, str(limit)]
    source = str(Path(__file__).parents[3] / "src")
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source}
    )


def test_a_pull_survives_kill_9(hub, served, library, network):
    served["model-Q4_0.gguf"].hold_after = 123_456
    with puller(library, hub.address) as process:
        for line in process.stdout:
            if int(line) == 123_456:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        process.stderr.read()
    part = library.place("model-q4_0").with_name("model-q4_0.gguf.part")
    assert library.list() == [] and list(library.unfinished()) == ["model-q4_0"] and part.stat().st_size == 123_456
    hub.release.set()
    entry = pull("owner/model", library, network).entry
    assert hub.ranges(FILE) == [None, "bytes=123456-"]
    assert entry.path.read_bytes() == BODY and library.unfinished() == {}
    assert [path.name for path in sorted(entry.path.parent.iterdir())] == ["model-q4_0.gguf", "model.json"]


def test_a_full_disk_is_one_line_and_costs_nothing(hub, library, network):
    with puller(library, hub.address, limit=200_000) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2, errors
    assert errors.startswith("CapacityError") and errors.count("\n") == 1
    assert "what has arrived is kept" in errors and "GADFLY_HOME" in errors
    part = library.place("model-q4_0").with_name("model-q4_0.gguf.part")
    assert list(library.unfinished()) == ["model-q4_0"] and part.stat().st_size == 200_000
    pull("owner/model", library, network)
    assert hub.ranges(FILE) == [None, "bytes=200000-"]


def test_room_is_asked_for_before_anything_is_fetched(library, network, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CapacityError, match="has 0 bytes free and 300 kB more are needed"):
        pull("owner/model", library, network)


def test_a_home_that_cannot_be_written(tmp_path, network):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="GADFLY_HOME"):
        pull("owner/model", Library(tmp_path / "file"), network)
