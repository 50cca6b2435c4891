"""Models of the page: what is here and what could be, pulls that go on without it, loading and letting go."""

from typing import get_args

import pytest

from chat_page import ChatPage, until
from gadfly.evaluate.fit_report import Answer
from gadfly.hub.library import Library
from gadfly.server.models import Models
from gadfly.server.service import Service
from gadfly.server.shelf import LibraryShelf
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, eventually, serving
from unit.server.app.conftest import HELLO
from unit.server.conftest import BODY


@pytest.fixture
def page(home, hub):  # noqa: ARG001
    library = Library(home)
    shelf = LibraryShelf(library, {}, lambda *_: ScriptedAnswers(HELLO))
    service = Service(Models(shelf), library=library)
    with serving(service, chat_app=chat_app_for(service, home)) as server:
        made = ChatPage(server.url)
        with made.client:
            yield made


def row(page, name):
    return next((one for one in page.get("/models")["models"] if one["name"] == name), None)


def test_the_catalogue_is_there_with_what_would_run(page):
    one = row(page, "smollm2")
    assert (one["here"], one["loaded"], one["pullable"], one["licence"]) == (False, False, True, "Apache-2.0")
    assert one["fit"]["verdict"] in ("comfortable", "tight", "no") and one["fit"]["needs"] > 10**8
    assert row(page, "grok-1")["fit"]["answer"] in get_args(Answer)
    assert not row(page, "grok-1")["here"]


def test_a_model_is_pulled_loaded_let_go_and_removed(page):
    with page.events("/events") as events:
        assert page.client.post("/models/owner/model/pull").status_code == 202
        heard = [data for name, data in until_finished(events) if name == "pull"]
        assert heard[-1]["error"] is None and heard[-1]["finished"]
        assert (heard[-1]["done"], heard[-1]["total"]) == (len(BODY), len(BODY))
    (name,) = [one["name"] for one in page.get("/models")["models"] if one["here"]]
    assert page.post(f"/models/{name}/load") == {"name": name}
    assert row(page, name)["loaded"]
    page.post(f"/models/{name}/unload")
    assert not row(page, name)["loaded"]
    page.delete(f"/models/{name}")
    assert row(page, name) is None
    assert page.client.delete(f"/models/{name}").status_code == 404


def until_finished(events):
    found = []
    while not (found and found[-1][1].get("finished")):
        found += until(events, "pull")
    return found


def test_a_pull_that_fails_says_why_until_it_is_forgotten(page):
    page.client.post("/models/owner/nothing/pull")
    assert eventually(lambda: (row(page, "owner/nothing") or {}).get("pull", {}).get("error"))
    page.delete("/models/owner/nothing/pull")
    assert row(page, "owner/nothing") is None


def test_what_is_not_here_cannot_be_loaded(page):
    assert page.client.post("/models/smollm2/load").status_code == 404
    assert page.client.post("/models/smollm2/unload").status_code == 404


def test_pages_hear_that_models_come_and_go(page):
    page.client.post("/models/owner/model/pull")
    assert eventually(lambda: any(one["here"] for one in page.get("/models")["models"]))
    (name,) = [one["name"] for one in page.get("/models")["models"] if one["here"]]
    with page.events("/events") as events:
        next(events)
        page.post(f"/models/{name}/load")
        until(events, "models")
