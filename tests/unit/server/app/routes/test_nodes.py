"""Marks, opinions, and the inside of an answer."""

import json

import pytest

from gadfly.api.model_card import ModelCard
from serving import Shelf, eventually


@pytest.fixture
def chat(page):
    """A question with two answers, 2 and 3."""
    chat = page.chat()
    page.post(f"/chats/{chat}/messages", text="Hi?")
    page.post(f"/chats/{chat}/answers", parent=1)
    assert eventually(lambda: {one["state"] for one in page.nodes(chat)} == {"complete"})
    return chat


def test_marks_are_kept_and_what_is_hidden_can_be_shown_again(page, chat):
    marked = page.patch(f"/chats/{chat}/nodes/2", name="the good one", favourite=True)["node"]
    assert (marked["name"], marked["favourite"]) == ("the good one", True)
    assert page.patch(f"/chats/{chat}/nodes/3", pruned=True)["node"]["pruned"]
    assert page.get(f"/chats/{chat}")["chat"]["leaf"] == 2
    assert not page.patch(f"/chats/{chat}/nodes/3", pruned=False)["node"]["pruned"]
    assert page.client.patch(f"/chats/{chat}/nodes/99", json={}).status_code == 404
    assert page.client.patch(f"/chats/{chat}/nodes/2", json={"favourite": "yes"}).status_code == 400


def test_opinions_become_pairs_that_can_be_taken_away(page, chat):
    given = page.put(f"/chats/{chat}/nodes/3/feedback", thumb=-1, reasons=["too short"], corrected="Hello, friend.")
    assert given["feedback"] == {"thumb": -1, "reasons": ["too short"], "corrected": "Hello, friend."}
    assert page.nodes(chat)[2]["feedback"] == given["feedback"]
    page.post(f"/chats/{chat}/votes", winner=2, loser=3, blind=True)
    assert [(one["winner"], one["blind"]) for one in page.get(f"/chats/{chat}/votes")["votes"]] == [(2, True)]
    pairs = page.get("/feedback")["pairs"]
    assert {one["because"] for one in pairs} == {"corrected", "vote"}
    answer = page.client.get("/feedback/export")
    assert "attachment" in answer.headers["content-disposition"]
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == pairs
    assert answer.headers["x-left-out"] == "0"
    corrected = next(one for one in lines if one["because"] == "corrected")
    assert corrected["chosen"] == [{"role": "assistant", "content": "Hello, friend."}]
    assert corrected["licences"]["rejected"]["licence"] == "MIT"
    assert corrected["training"] == "free"
    assert page.client.get("/feedback/export?licences=some").status_code == 400
    for body in ({"winner": 2, "loser": 2}, {"winner": 2}, {"winner": 1, "loser": 2}):
        assert page.client.post(f"/chats/{chat}/votes", json=body).status_code == 400


def test_a_pair_is_taken_back_and_given_again(page, chat):
    page.put(f"/chats/{chat}/nodes/2/feedback", thumb=1, reasons=["witty"])
    page.put(f"/chats/{chat}/nodes/3/feedback", thumb=-1, corrected="Hello, friend.")
    page.post(f"/chats/{chat}/votes", winner=2, loser=3, blind=True)

    def pairs():
        return sorted((one["because"], one["nodes"]) for one in page.get("/feedback")["pairs"])

    def taken(path):
        return page.client.delete(f"/chats/{chat}/pairs/{path}").raise_for_status().json()

    assert pairs() == [("corrected", [3, 3]), ("vote", [2, 3])]
    vote = taken("vote/2/3")["vote"]
    assert (vote["winner"], vote["loser"], vote["blind"]) == (2, 3, True)
    assert pairs() == [("corrected", [3, 3]), ("thumbs", [2, 3])]
    both = taken("thumbs/2/3")["opinions"]
    assert both == [
        {"node": 2, "thumb": 1, "reasons": ["witty"], "corrected": None},
        {"node": 3, "thumb": -1, "reasons": [], "corrected": "Hello, friend."},
    ]
    assert pairs() == [("corrected", [3, 3])]
    taken("corrected/3/3")
    assert pairs() == []
    for opinion in both:
        page.put(f"/chats/{chat}/nodes/{opinion.pop('node')}/feedback", **opinion)
    assert pairs() == [("corrected", [3, 3]), ("thumbs", [2, 3])]
    for path in ("vote/2/3", "corrected/2/2", "thumbs/3/99"):
        assert page.client.delete(f"/chats/{chat}/pairs/{path}").status_code == 404
    assert page.client.delete(f"/chats/{chat}/pairs/whim/2/3").status_code == 422


def test_a_thumb_without_a_partner_can_be_taken_away_and_back(page, chat):
    page.put(f"/chats/{chat}/nodes/3/feedback", thumb=1, reasons=["witty"])
    assert page.get("/feedback")["pairs"] == []
    found = page.get("/feedback/thumbs")
    assert [(one["node"], one["label"], one["reasons"], one["training"]) for one in found["thumbs"]] == [
        (3, True, ["witty"], "free")
    ]
    assert found["next"] is None and page.get("/feedback/thumbs", cursor=1)["thumbs"] == []
    answer = page.client.get("/feedback/thumbs/export")
    assert "gadfly-thumbs.jsonl" in answer.headers["content-disposition"]
    assert [json.loads(line) for line in answer.text.splitlines()] == found["thumbs"]
    page.put(f"/chats/{chat}/nodes/3/feedback", thumb=0)
    assert page.get("/feedback/thumbs")["thumbs"] == []


def test_a_model_that_runs_elsewhere_has_no_inside_and_no_way_to_go_on(page, llm, monkeypatch):
    llm.kernels = ""
    monkeypatch.setattr(Shelf, "list", lambda _: [ModelCard("scripted", 0.0)])
    chat = page.chat()
    page.post(f"/chats/{chat}/messages", text="Hi?")
    assert eventually(lambda: page.nodes(chat)[1]["state"] == "complete")
    assert llm.requests[-1].logprobs is None
    assert not page.nodes(chat)[1]["has_trace"]
    answer = page.client.get(f"/chats/{chat}/nodes/2/inside")
    assert answer.status_code == 404 and "nothing was kept" in answer.json()["error"]["message"]
    before = page.nodes(chat)
    for path, body in (("/answers", {"parent": 1, "prefix": "He"}), ("/answers/2/continue", {})):
        refused = page.client.post(f"/chats/{chat}{path}", json=body)
        assert refused.status_code == 400 and "runs elsewhere" in refused.json()["error"]["message"]
    assert page.nodes(chat) == before
    page.post(f"/chats/{chat}/answers", parent=1)


def test_inside_are_the_tokens_their_rivals_and_the_prompt(page, chat, llm):
    inside = page.get(f"/chats/{chat}/nodes/2/inside")
    assert inside["tokens"] == [{"text": "Hel", "logprob": -0.25, "top": [{"text": "Hel", "logprob": -0.25}]}]
    prompt = inside["prompt"]
    assert [one["text"] for one in prompt if one["special"]] == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert "".join(one["text"] for one in prompt if not one["special"]) == "user\nHi?\nassistant"
    assert (inside["model"], inside["experts"], inside["usage"]["cached_tokens"]) == ("scripted", None, 3)
    assert llm.requests[0].logprobs
    answer = page.client.get(f"/chats/{chat}/nodes/1/inside")
    assert answer.status_code == 404
    assert "nothing was kept" in answer.json()["error"]["message"]
