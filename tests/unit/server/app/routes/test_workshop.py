"""The workshop as its page sees it: material, files, plans, runs and what is heard of them."""

import json
import sys

import pytest

from chat_page import ChatPage, until
from gadfly.errors import NotFoundError
from gadfly.server.app.routes import runs
from gadfly.server.app.workshop_news import WorkshopNews
from gadfly.server.gate import House
from gadfly.server.keys import new_key
from gadfly.server.workshop.workshop import Workshop
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, eventually, service_for, serving
from unit.server.app.conftest import HELLO

STEP = {"learning_rate": 0.1, "gradient_norm": 1.0, "tokens": 10, "learnt": 5, "seconds": 0.5}
EVENTS = (
    {"at": 1, "event": "began", "train": 1, "valid": 1, "steps": 2, "step": 0},
    {"at": 1, "event": "judged", "step": 0, "loss": 4.0, "accuracy": 0.5},
    {"at": 1, "event": "tried", "step": 0, "prompt": "Rain?", "text": "Water."},
    {"at": 1, "event": "problem", "file": "train.jsonl", "line": 7, "text": "is not JSON"},
    {"at": 2, "event": "step", "step": 1, "loss": 3.0, **STEP},
    {"at": 3, "event": "step", "step": 2, "loss": 2.0, **STEP},
)
PLAN = {"at": 1, "event": "plan", "samples": 1, "steps": 2, "seconds": 3.0, "disk": 10}
RUN = f"""
import os, sys
if "--plan" in sys.argv:
    print({json.dumps(PLAN)!r})
else:
    sys.stdin.read() if os.path.exists("../wait") else None
    for line in {[json.dumps(event) for event in EVENTS]!r}: print(line)
    os.mkdir("adapter")
    open("adapter/adapter_config.json", "w").write('{{"base_model_name_or_path": "scripted"}}')
"""
LINE = json.dumps({"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Bzz."}]}) + "\n"
(ANNA, ANNA_KEY), (BEN, BEN_KEY) = new_key("anna", ["chat", "train"]), new_key("ben", ["chat", "train"])
CARL, CARL_KEY = new_key("carl", ["chat"])
KEYS = (ANNA, BEN, CARL)


def base(name):
    if name != "scripted":
        raise NotFoundError(f"there is no model {name}")
    return name


@pytest.fixture
def server(home):
    service = service_for(ScriptedAnswers(HELLO))
    service.workshop = Workshop(home, base, (sys.executable, "-c", RUN))
    with serving(service, House(keys=lambda: KEYS), chat_app_for(service, home, keys=lambda: KEYS)) as running:
        yield running


@pytest.fixture
def page(server):
    with (page := ChatPage(server.url)).client:
        yield page


def upload(page, name="chats.jsonl", text=LINE, path="/workshop/files"):
    return page.client.post(path, params={"name": name}, content=text.encode())


def drafted(page, **fields):
    file = upload(page).json()["file"]["id"]
    asked = {"model": "scripted", "method": "sft", "name": "fly", "files": [file], "valid": 0, **fields}
    return page.post("/workshop/runs", **asked)["run"]


def reaches(page, run, status):
    return eventually(lambda: page.get(f"/workshop/runs/{run['id']}")["run"]["status"] == status)


def test_a_run_is_planned_started_watched_and_removed(page):
    run = drafted(page, settings={"epochs": 2})
    assert (run["origin"], run["data"], run["settings"]) == (
        "app",
        {"chats": None, "files": ["chats.jsonl"], "given": run["data"]["given"], "valid": 0},
        {"epochs": 2},
    )
    assert run["data"]["given"] == [file["id"] for file in page.get("/workshop/files")["files"]]
    assert reaches(page, run, "planned")
    with page.events(f"/workshop/runs/{run['id']}/events") as events:
        name, first = next(events)
        assert name == "snapshot" and first["run"]["plan"]["seconds"] == 3.0 and first["points"] == []
        page.post(f"/workshop/runs/{run['id']}/start")
        heard = []
        while not heard or heard[-1][1]["run"]["status"] != "succeeded":
            heard += until(events, "run")
    steps = [data for name, data in heard if name == "step"]
    assert [step["loss"] for step in steps] == [3.0, 2.0] and steps[1]["run"]["steps"] == 2
    assert ("judged", {"step": 0, "loss": 4.0, "figures": {"accuracy": 0.5}}) in heard
    said = {"step": 0, "prompt": "Rain?", "text": "Water."}
    assert ("tried", said) in heard
    assert ("problem", {"file": "train.jsonl", "line": 7, "text": "is not JSON"}) in heard
    opened = page.get(f"/workshop/runs/{run['id']}")
    assert [point["step"] for point in opened["points"]] == [1, 2] and opened["tried"] == [said]
    assert {"adapter": "fly", "loss": 2.5, "valid_loss": 4.0, "tokens_per_second": 20.0}.items() <= opened[
        "run"
    ].items()
    look = page.get("/workshop")
    assert look["available"] and look["models"] == [{"name": "scripted", "bytes": 100, "default": True}]
    assert [(one["name"], one["base"], one["run"]) for one in look["adapters"]] == [("fly", "scripted", run["id"])]
    assert look["usual"]["dpo"]["learning_rate"] == 2e-4
    page.delete(f"/workshop/runs/{run['id']}", adapter=True)
    assert page.get("/workshop/runs") == {"runs": []} and page.get("/workshop")["adapters"] == []


def test_what_changes_while_a_page_comes_is_told_it(page, monkeypatch):
    opened, look, looks = runs.opened_shape, WorkshopNews.look_around, []

    async def look_around(news):
        await look(news)
        looks.append(news)

    def slowly(workshop, job):
        found = opened(workshop, job)
        workshop.jobs.failed(job.id, "rain")
        looks.clear()
        eventually(lambda: len(looks) > 1, 200)
        return found

    run = drafted(page)
    assert reaches(page, run, "planned")
    monkeypatch.setattr("gadfly.server.application._SWEEP", 0.01)
    monkeypatch.setattr(WorkshopNews, "look_around", look_around)
    assert eventually(lambda: looks)
    monkeypatch.setattr(runs, "opened_shape", slowly)
    with page.events(f"/workshop/runs/{run['id']}/events") as events:
        assert next(events)[1]["run"]["status"] == "planned"
        assert until(events, "run")[-1][1]["run"]["error"] == "rain"


def test_a_run_is_stopped_and_resumed_and_the_whole_app_hears_of_it(page, home):
    (home / "workshop").mkdir(exist_ok=True)
    (home / "workshop" / "wait").write_text("")
    with page.events("/events") as events:
        next(events)
        run = drafted(page, start=True)
        assert reaches(page, run, "running")
        assert page.post(f"/workshop/runs/{run['id']}/stop")["run"]["status"] == "stopped"
        assert page.client.post(f"/workshop/runs/{run['id']}/stop", json={}).status_code == 400
        (home / "workshop" / "wait").unlink()
        page.post(f"/workshop/runs/{run['id']}/resume")
        heard = []
        while not heard or heard[-1][1]["run"]["status"] != "succeeded":
            heard += until(events, "run")
        page.delete(f"/workshop/runs/{run['id']}")
        assert until(events, "run")[-1] == ("run", {"id": run["id"]})


def test_what_chats_have_to_learn_from(page):
    chat = page.chat()
    page.post(f"/chats/{chat}/messages", text="Hi?")
    assert eventually(lambda: page.nodes(chat)[1]["state"] == "complete")
    page.put(f"/chats/{chat}/nodes/2/feedback", thumb=1)
    everything = page.get("/workshop/material", licences="all")
    assert everything == {"lessons": 1, "pairs": 0, "thumbs": 1, "left_out": {}}
    assert sum(page.get("/workshop/material")["left_out"].values()) + page.get("/workshop/material")["lessons"] >= 1
    run = page.post("/workshop/runs", model="scripted", method="sft", chats="all", valid=0)["run"]
    assert reaches(page, run, "planned")


def test_files_are_checked_by_line_and_others_brought_into_our_form(page):
    told = upload(page, text=LINE + LINE + "{\n").json()
    assert told["import"] is None and told["file"]["name"] == "chats.jsonl"
    check = page.get(f"/workshop/files/{told['file']['id']}/check")
    assert check["wrong"] and check["counts"]["lessons"] == 2 and check["found"] == {"duplicate": 1, "damaged": 1}
    assert {(one["line"], one["kind"]) for one in check["findings"]} == {(2, "duplicate"), (3, "damaged")}
    assert check["findings"][0]["text"] == "says what chats.jsonl:1 says"
    table = upload(page, "../x.csv", "prompt,completion\nHi.,Bzz.\n,\n").json()
    assert table["import"]["taken"] and table["file"]["name"] == "../x.csv"
    for name, text, why in (
        ("x.exe", "MZ", "none of the files"),
        ("x.json", "{", "nothing that can be learnt"),
        ("x", " ", "nothing in"),
    ):
        refused = upload(page, name, text)
        assert refused.status_code == 400 and why in refused.json()["error"]["message"], refused.text
    assert len(page.get("/workshop/files")["files"]) == 2
    page.delete(f"/workshop/files/{told['file']['id']}")
    assert page.client.get(f"/workshop/files/{told['file']['id']}/check").status_code == 404


def test_everybody_has_a_workshop_of_their_own_and_some_have_none(server, page):
    anna, ben, carl = (ChatPage(server.url, authorization=f"Bearer {key}") for key in (ANNA_KEY, BEN_KEY, CARL_KEY))
    run = drafted(anna)
    assert [len(one.get("/workshop/runs")["runs"]) for one in (anna, ben, page)] == [1, 0, 0]
    assert ben.get("/workshop/files") == {"files": []}
    for path in ("", "/start", "/stop", "/resume", "/events"):
        ask = ben.client.get if path in ("", "/events") else ben.client.post
        assert ask(f"/workshop/runs/{run['id']}{path}").status_code == 404
    assert ben.client.delete(f"/workshop/runs/{run['id']}").status_code == 404
    refused = carl.client.get("/workshop")
    assert refused.status_code == 403 and "not for train" in refused.json()["error"]["message"]
    files = {"file": ("x.jsonl", LINE), "purpose": (None, "fine-tune")}
    asked = {"url": f"{server.url}/v1/files", "files": files}
    assert carl.client.post(**asked).status_code == 403 and ben.client.post(**asked).status_code == 200
    for one in (anna, ben, carl):
        one.client.close()


def test_a_server_that_teaches_nothing_says_so(home):
    app = chat_app_for(service_for(ScriptedAnswers(HELLO)), home)
    with serving(app.service, chat_app=app) as server, (page := ChatPage(server.url)).client:
        refused = page.client.get("/workshop")
        assert refused.status_code == 403 and "--no-training" in refused.json()["error"]["message"]
