"""With keys, everybody has chats of their own, and no route tells one person of another's."""

import pytest

from chat_page import ChatPage
from gadfly.server.app.sessions import Sessions
from gadfly.server.gate import House
from gadfly.server.keys import new_key
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, eventually, service_for, serving
from unit.server.app.conftest import HELLO

(ANNA, ANNA_KEY), (BEN, BEN_KEY) = new_key("anna", ["chat", "models"]), new_key("ben", ["chat"])
METRICS, METRICS_KEY = new_key("prometheus", ["metrics"])
KEYS = (ANNA, BEN, METRICS)


@pytest.fixture
def server(home):
    sessions = Sessions(home)
    app = chat_app_for(service_for(ScriptedAnswers(HELLO)), home, keys=lambda: KEYS, closed=True)
    house = House(keys=lambda: KEYS, closed=True, sessions=sessions)
    with serving(app.service, house, app) as running:
        yield running


@pytest.fixture
def people(server):
    pages = [ChatPage(server.url, authorization=f"Bearer {key}") for key in (ANNA_KEY, BEN_KEY)]
    yield pages
    for page in pages:
        page.client.close()


def test_each_sees_what_is_theirs(people):
    anna, ben = people
    assert [page.get("/session")["owner"] for page in people] == ["anna", "ben"]
    chat = anna.chat(title="Secret", folder="private", tags=["hidden"])
    anna.post(f"/chats/{chat}/messages", text="What is a zugzwang?")
    assert eventually(lambda: anna.nodes(chat)[1]["state"] == "complete")
    mine = ben.get("/chats")
    assert (mine["chats"], mine["folders"], mine["tags"]) == ([], [], [])
    assert ben.get("/chats", query="zugzwang")["chats"] == []
    assert len(anna.get("/chats", query="zugzwang")["chats"]) == 1
    anna.put(f"/chats/{chat}/nodes/2/feedback", thumb=-1, corrected="A move one would rather not make.")
    assert len(anna.get("/feedback")["pairs"]) == 1
    assert ben.get("/feedback")["pairs"] == []
    assert ben.client.get("/feedback/export").text == ""
    assert ben.get("/feedback/thumbs")["thumbs"] == []
    assert ben.client.get("/feedback/thumbs/export").text == ""
    assert ben.client.get("/export").text == ""
    assert "zugzwang" in anna.client.get("/export").text
    for page in people:
        assert page.client.get("/export/database").status_code == 403


# Every route below a chat, with a body that its owner could send.
BELOW = [
    ("GET", "", None),
    ("GET", "/tools", None),
    ("POST", "/answers/2/consent", {"call": "c0", "allow": "once"}),
    ("PATCH", "", {"title": "Mine"}),
    ("DELETE", "", None),
    ("DELETE", "?forever=true", None),
    ("POST", "/restore", None),
    ("POST", "/fork", {"node": 1}),
    ("POST", "/title", None),
    ("POST", "/suggestions", None),
    ("POST", "/measure", {"text": "?"}),
    ("POST", "/messages", {"text": "?"}),
    ("POST", "/answers", {"parent": 1}),
    ("POST", "/answers/2/continue", None),
    ("POST", "/answers/2/stop", None),
    ("PATCH", "/nodes/2", {"name": "mine"}),
    ("PUT", "/nodes/2/feedback", {"thumb": 1}),
    ("GET", "/nodes/2/inside", None),
    ("POST", "/votes", {"winner": 2, "loser": 3}),
    ("GET", "/votes", None),
    ("DELETE", "/pairs/vote/2/3", None),
    ("GET", "/events", None),
    ("GET", "/export", None),
]


@pytest.mark.parametrize(("method", "path", "body"), BELOW)
def test_a_chat_of_another_is_not_there(people, method, path, body):
    anna, ben = people
    chat = anna.chat()
    anna.post(f"/chats/{chat}/messages", text="Hi?")
    anna.post(f"/chats/{chat}/answers", parent=1)
    assert eventually(lambda: {one["state"] for one in anna.nodes(chat)} == {"complete"})
    before = anna.get(f"/chats/{chat}")
    answer = ben.client.request(method, f"/chats/{chat}{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "missing")
    assert anna.get(f"/chats/{chat}") == before


def test_every_route_below_a_chat_is_tried(server):
    paths = server.client.get("/openapi.json", headers={"authorization": f"Bearer {ANNA_KEY}"}).json()["paths"]
    below = "/app/api/chats/{id}"
    example = {"node": 2, "because": "vote", "chosen": 2, "rejected": 3}
    known = {
        (method.upper(), path.removeprefix(below).format(**example))
        for path, operations in paths.items()
        if path.startswith(below)
        for method in operations
    }
    assert known <= {(method, path.partition("?")[0]) for method, path, _ in BELOW}


def test_news_of_one_is_not_told_to_another(people):
    anna, ben = people
    with ben.events("/events") as heard:
        assert next(heard) == ("hello", {})
        anna.chat()
        ben.chat()
        anna_id = {one["id"] for one in anna.get("/chats")["chats"]}
        name, data = next(heard)
        assert name == "chats" and not data
        ben.patch(f"/chats/{ben.get('/chats')['chats'][0]['id']}", title="x")
        name, data = next(heard)
        assert name == "chat" and data["id"] not in anna_id


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/settings", {"wit": 0.1}),
        ("PUT", "/personas/mine", {"description": "x", "voices": []}),
        ("DELETE", "/personas/mine", None),
        ("POST", "/personas/import", None),
        ("POST", "/models/smollm2/pull", None),
        ("DELETE", "/models/smollm2/pull", None),
        ("POST", "/models/scripted/unload", None),
        ("DELETE", "/models/scripted", None),
        ("DELETE", "/adapters/mine", None),
    ],
)
def test_what_concerns_everybody_takes_a_key_for_that(people, method, path, body):
    _, ben = people
    answer = ben.client.request(method, path, json=body)
    assert answer.status_code == 403
    assert "not for models" in answer.json()["error"]["message"]


def test_a_key_is_shown_once_and_a_cookie_from_then_on(server, home):
    own = {"origin": server.url}
    page = ChatPage(server.url, **own)
    assert page.get("/session")["needs_key"]
    assert page.client.get("/chats").status_code == 401
    assert page.client.post("/session", json={"key": "gadfly-wrong"}).status_code == 401
    assert page.client.post("/session", json={"key": METRICS_KEY}).status_code == 403
    answer = page.client.post("/session", json={"key": ANNA_KEY})
    cookie = answer.headers["set-cookie"]
    for word in ("HttpOnly", "SameSite=strict", "Path=/app/api", "Max-Age="):
        assert word in cookie
    assert page.get("/session") | {"version": ""} == {
        "owner": "anna",
        "needs_key": False,
        "version": "",
        "settings": {"model": "scripted", "persona": "gadfly", "wit": 0.5},
        "offline": False,
    }
    value = cookie.partition("=")[2].partition(";")[0]
    kept = (home / "sessions.json").read_text()
    assert ANNA_KEY not in kept and value not in kept
    given = f"{cookie.partition('=')[0]}={value}"
    page.chat()
    with ChatPage(server.url, cookie=given).client as bare:
        assert bare.get("/chats").status_code == 200  # nothing is changed by that
        assert bare.post("/chats", json={}).status_code == 401  # without an Origin
        assert bare.get("/chats", headers={"origin": "http://evil.example"}).status_code == 403
        assert bare.get("/chats", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert bare.get(f"{server.url}/v1/models", headers=own).status_code == 401
    page.delete("/session")
    assert page.client.get("/chats", headers={"cookie": given}).status_code == 401
    page.client.close()


def test_what_is_said_stays_in_no_cache_and_on_no_other_page(server):
    for path in ("/app/api/session", "/app/api/chats", "/app/api/nothing"):
        headers = server.client.get(path, headers={"origin": server.url, "x-api-key": ANNA_KEY}).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_page_itself_is_no_secret(server):
    assert server.client.get("/").status_code == 200
    assert server.client.get("/assets/none.js").status_code == 404
    assert server.client.get("/v1/models").status_code == 401
    assert server.client.get("/openapi.json").status_code == 401
