"""Models are fetched, copied and removed by name, and no name leads anywhere else."""

import json

import pytest

from gadfly.hub.library import Library
from gadfly.hub.memory import memory_available
from gadfly.server.gate import House
from gadfly.server.keys import new_key
from gadfly.server.limits import Limits
from gadfly.server.models import Models
from gadfly.server.service import Service
from gadfly.server.shelf import LibraryShelf
from serving import eventually, serving
from unit.server.conftest import BODY


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "home")


@pytest.fixture
def server(library, hub):  # noqa: ARG001
    shelf = LibraryShelf(library, {}, lambda path, _: pytest.fail(f"{path} is not to be loaded"))
    with serving(Service(Models(shelf), Limits(grace=5.0), library=library)) as running:
        yield running


def names(server):
    return [model["name"] for model in server.client.get("/api/tags").json()["models"]]


def delete(server, name):
    return server.client.request("DELETE", "/api/delete", json={"model": name})


def test_a_model_is_pulled_copied_and_removed(server, library):
    assert names(server) == []
    lines = [json.loads(line) for line in server.post("/api/pull", model="owner/model").text.splitlines()]
    assert lines[0]["status"] == "pulling manifest"
    assert lines[-1] == {"status": "success"}
    assert any(line.get("completed") == line.get("total") == len(BODY) for line in lines)
    (name,) = names(server)
    assert library.find(name).path.read_bytes() == BODY
    assert server.post("/api/copy", source=name, destination="twin").status_code == 200
    assert sorted(names(server)) == sorted([name, "twin"])
    assert delete(server, name).status_code == 200
    assert names(server) == ["twin"]
    assert library.find("twin").path.read_bytes() == BODY
    assert server.post("/api/pull", model="owner/model", stream=False).json() == {"status": "success"}


def test_what_is_not_there_is_told_in_either_way(server):
    assert server.post("/api/pull", model="owner/none", stream=False).status_code in (404, 500)
    streamed = server.post("/api/pull", model="owner/none")
    assert "error" in json.loads(streamed.text.splitlines()[-1])
    assert server.post("/api/copy", source="none", destination="b").status_code == 404
    assert delete(server, "none").status_code == 404


NAMES = ["../../etc/passwd", "/etc/passwd", "./model.gguf", "~/model.gguf", "a/../b", "model.gguf", "..", ".locks"]


@pytest.mark.parametrize("name", [*NAMES, "http://127.0.0.1:1/model.gguf", "https://evil.example/model.gguf", "a\0b"])
def test_no_name_leads_to_a_file_or_an_address(server, library, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").write_bytes(BODY)
    for answer in (
        server.post("/api/pull", model=name, stream=False),
        server.post("/api/copy", source=name, destination="b"),
        server.post("/api/copy", source="none", destination=name),
        delete(server, name),
        server.post("/api/show", model=name),
        server.post("/api/chat", model=name),
    ):
        assert answer.status_code in (400, 404)
    assert (tmp_path / "model.gguf").read_bytes() == BODY
    assert not list(library.list())


def test_who_may_only_chat_changes_nothing(library, hub):  # noqa: ARG001
    key, text = new_key("anna", ["chat"])
    house = House(closed=True, keys=lambda: (key,))
    shelf = LibraryShelf(library, {}, lambda path, _: pytest.fail(f"{path} is not to be loaded"))
    with serving(Service(Models(shelf), library=library), house) as server:
        answer = server.client.post("/api/pull", json={"model": "owner/model"}, headers={"x-api-key": text})
        assert answer.status_code == 403
        assert eventually(lambda: server.lines.text)
        assert not library.list()


def test_room_is_what_the_machine_has(library):
    assert 0 < LibraryShelf(library, {}, lambda *_: None).room() <= memory_available() * 2
