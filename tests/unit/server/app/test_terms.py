"""What an answer is asked with: the request over the chat over the settings, and refused where it makes no sense."""

import json
from dataclasses import asdict, replace

import pytest

from gadfly.answer.adapters import Adapters, Beside
from gadfly.api.fields import Fields
from gadfly.chat.character import Character
from gadfly.chat.store import Store
from gadfly.chat.values import Provenance
from gadfly.conversation import Message
from gadfly.errors import NotFoundError, RequestError
from gadfly.server.app.terms import Asked, Terms, read_terms
from gadfly.settings import Settings

SETTINGS = Settings(persona="straight", wit=0.25)
QUESTION = [Message("user", "Why?")]


@pytest.fixture
def chat(home):
    store = Store(home / "chats.sqlite")
    yield store.create("")
    store.close()


def over(chat, settings=SETTINGS, **terms):
    return read_terms(Fields(terms)).over(chat, settings, "default")


def test_later_beats_earlier(chat):
    asked = over(chat)
    assert (asked.model, asked.persona.name, asked.wit) == ("default", "straight", 0.25)
    chat = replace(chat, model="chats", persona="gadfly", wit=0.75, sampling={"temperature": 0.9, "top_k": 5})
    asked = over(chat)
    assert (asked.model, asked.persona.name, asked.wit, asked.sampling.temperature) == ("chats", "gadfly", 0.75, 0.9)
    assert asked.sampling.min_p == asked.persona.sampling.min_p
    asked = over(chat, model="mine", wit=0, sampling={"temperature": 0}, seed=3, max_tokens=9)
    assert (asked.model, asked.wit, asked.sampling.temperature, asked.sampling.top_k) == ("mine", 0, 0, 5)
    assert (asked.sampling.seed, asked.max_tokens) == (3, 9)


def test_adapters_of_a_chat_belong_to_its_model(chat):
    chat = replace(chat, adapters={"pirate": 1.5, "poet": 0.5})
    assert over(chat).adapters == {"pirate": 1.5, "poet": 0.5}
    assert over(chat, model="default", adapters={"poet": 0}).adapters == {"pirate": 1.5, "poet": 0}
    assert over(chat, model="mine").adapters == {}
    assert over(replace(chat, model="mine")).adapters == {"pirate": 1.5, "poet": 0.5}


def test_a_seed_is_drawn_so_that_an_answer_can_be_had_again(chat):
    seeds = {over(chat).sampling.seed for _ in range(5)}
    assert None not in seeds and len(seeds) > 1
    asked = over(chat, wit=1, sampling={"logit_bias": {"2": -100}})
    kept = json.loads(json.dumps(asdict(asked.provenance())))  # as the store has it
    again = Asked.again(Provenance(**kept), None)
    assert again == replace(asked, max_tokens=again.max_tokens)


def test_a_system_prompt_of_the_users_own_replaces_the_persona(chat):
    request = over(chat).request(QUESTION)
    assert (request.persona, request.wit, request.messages) == ("straight", 0.25, tuple(QUESTION))
    request = over(chat, system="Rhyme.").request(QUESTION, "Be", logprobs=False)
    assert (request.persona, request.messages[0], request.logprobs) == (None, Message("system", "Rhyme."), None)
    assert request.prefix == "Be"
    assert over(chat, system="").request(QUESTION).messages == tuple(QUESTION)


def test_what_was_dropped_counts_only_what_was_said(chat):
    asked = over(chat, persona="gadfly", wit=0)
    examples = len(asked.persona.messages(0)) - 1
    assert [asked.dropped(count) for count in (0, examples, examples + 2)] == [0, 0, 2]
    assert replace(asked, system="x").dropped(2) == 2


@pytest.mark.parametrize(
    "terms",
    [
        {"wit": 2},
        {"wit": "much"},
        {"seed": 0.5},
        {"max_tokens": 0},
        {"sampling": {"temperature": -1}},
        {"sampling": []},
        {"adapters": {"a": "b"}},
        {"system": "\ud800"},
        {"tools": "all"},
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(terms):
    with pytest.raises(RequestError) as caught:
        read_terms(Fields(terms, "answer"))
    assert next(iter(terms)) in str(caught.value)


def test_a_persona_or_model_that_is_not_here_is_refused(chat):
    with pytest.raises(NotFoundError, match="nobody"):
        over(chat, persona="nobody")
    with pytest.raises(RequestError, match="no model"):
        Terms().over(chat, SETTINGS, None)


def test_an_answer_is_asked_of_a_model_as_it_plays_the_persona(chat):
    character = Character(((0.0, 0.0), (1.0, 1.5)), "gadfly", "You are Gadfly.")
    adapters = Adapters((Beside("gadfly", 0.0, character), Beside("poet", 0.5)))
    asked = over(chat, persona="gadfly", wit=0.5).beside(adapters)
    assert asked.adapters == {"gadfly": 0.75, "poet": 0.5}
    assert asked.persona.messages(0.5) == [Message("system", "You are Gadfly.")]
    assert asked.dropped(2) == 2  # examples of the persona are not told, so none are left out
    assert over(chat, persona="gadfly", adapters={"poet": 0}).beside(adapters).adapters["poet"] == 0
    assert over(chat, persona="straight").beside(adapters).adapters["gadfly"] == 0
    assert over(chat, persona="gadfly", system="Be brief.").beside(adapters).adapters["gadfly"] == 0
    again = Asked.again(asked.provenance(), "default").beside(adapters)
    assert (again.adapters, again.wit) == (asked.adapters, asked.wit)
