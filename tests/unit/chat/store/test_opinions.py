"""Feedback, votes, and the pairs that follow."""

import pytest

from gadfly.chat.store import Node, Provenance, Store
from gadfly.conversation import Message
from gadfly.errors import RequestError


@pytest.fixture
def chat(store: Store) -> str:
    return store.create("").id


@pytest.fixture
def answers(store: Store, chat: str) -> list[Node]:
    asked = store.say("", chat, None, Message("user", "Why?"))
    return [
        store.begin("", chat, asked.id, Provenance(model=name, licence="MIT")).finish(Message("assistant", name))
        for name in ("good", "bad", "ugly")
    ]


def told(store: Store) -> list[tuple[str, str, str]]:
    return [(pair.chosen.content, pair.rejected.content, pair.because) for pair in store.pairs("")]


def test_feedback_is_kept_replaced_and_taken_back(store: Store, chat: str, answers: list[Node]):
    store.feedback("", chat, answers[0].id, 1, ("witty",))
    kept = store.node("", chat, answers[0].id).feedback
    assert kept and (kept.thumb, kept.reasons, kept.corrected) == (1, ("witty",), None)
    store.feedback("", chat, answers[0].id, -1, corrected="better")
    kept = store.node("", chat, answers[0].id).feedback
    assert kept and (kept.thumb, kept.reasons, kept.corrected) == (-1, (), "better")
    assert store.feedback("", chat, answers[0].id) is None
    assert store.node("", chat, answers[0].id).feedback is None


def test_thumbs_on_versions_of_an_answer_make_pairs(store: Store, chat: str, answers: list[Node]):
    store.feedback("", chat, answers[0].id, 1)
    assert told(store) == []
    store.feedback("", chat, answers[1].id, -1, ("rude",))
    assert told(store) == [("good", "bad", "thumbs")]
    [pair] = store.pairs("")
    assert pair.prompt == (Message("user", "Why?"),)
    assert pair.reasons == ("rude",)
    assert pair.chosen_provenance and pair.chosen_provenance.model == "good"
    store.vote("", chat, answers[1].id, answers[0].id, blind=True)
    assert told(store) == [("bad", "good", "vote")]
    store.vote("", chat, answers[0].id, answers[1].id)
    assert told(store) == [("good", "bad", "vote")]
    assert [vote.blind for vote in store.votes("", chat)] == [False]


def test_a_correction_is_preferred_to_what_was_corrected(store: Store, chat: str, answers: list[Node]):
    store.feedback("", chat, answers[1].id, corrected="better")
    [pair] = store.pairs("")
    assert (pair.chosen.content, pair.rejected.content, pair.because) == ("better", "bad", "corrected")
    assert pair.chosen_provenance is None
    assert pair.rejected_provenance and pair.rejected_provenance.licence == "MIT"
    store.delete("", chat)
    assert told(store) == []


def test_a_thumb_is_a_rating_until_it_is_in_a_pair(store: Store, chat: str, answers: list[Node]):
    def rated() -> list[tuple[str, bool, tuple[str, ...]]]:
        return [(one.answer.content, one.good, one.reasons) for one in store.ratings("")]

    store.feedback("", chat, answers[0].id, 1, ("witty",))
    store.feedback("", chat, answers[2].id, 1)
    assert rated() == [("good", True, ("witty",)), ("ugly", True, ())]
    [rating, _] = store.ratings("")
    assert (rating.node, rating.prompt) == (answers[0].id, (Message("user", "Why?"),))
    assert rating.provenance and rating.provenance.model == "good"
    store.vote("", chat, answers[0].id, answers[1].id)
    assert rated() == [("ugly", True, ())]
    store.feedback("", chat, answers[2].id, -1)
    assert rated() == []  # bad beside good: a pair
    store.feedback("", chat, answers[0].id)
    assert rated() == [("ugly", False, ())]
    store.feedback("", chat, answers[2].id)
    assert rated() == []


def test_nonsense_is_refused(store: Store, chat: str, answers: list[Node]):
    asked = store.open("", chat).nodes[0]
    for wrong in (
        lambda: store.feedback("", chat, asked.id, 1),
        lambda: store.feedback("", chat, answers[0].id, 2),  # type: ignore[arg-type]
        lambda: store.feedback("", chat, answers[0].id, 1, ("x",) * 21),
        lambda: store.vote("", chat, answers[0].id, answers[0].id),
        lambda: store.vote("", chat, answers[0].id, asked.id),
    ):
        with pytest.raises(RequestError):
            wrong()
