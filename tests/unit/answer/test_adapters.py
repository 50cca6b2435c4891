"""How strong adapters are in an answer: as the request says, as the persona's wit says, or as they were loaded."""

import pytest

from gadfly.answer import Answerer, Prompts
from gadfly.answer.adapters import Adapters, Beside
from gadfly.chat.character import Character
from gadfly.chat.persona import load_persona
from gadfly.conversation import ChatRequest, Message, TextRequest
from gadfly.engine import Engine
from gadfly.errors import RequestError
from gadfly.testing import ByteTokenizer, ScriptedModel, noise
from gadfly.text import ChatTemplate

PROMPT = "You are Gadfly."
GADFLY = Character(((0.0, 0.0), (0.5, 0.6), (1.0, 1.2)), "gadfly", PROMPT)
ADAPTERS = Adapters((Beside("rhymes", 0.5), Beside("gadfly", 0.0, GADFLY)))


@pytest.mark.parametrize(
    ("asked", "persona", "wit", "expected"),
    [
        ({}, None, None, (0.5, 0.0)),
        ({}, "gadfly", 0.5, (0.5, 0.6)),
        ({}, "gadfly", 0.0, (0.5, 0.0)),
        ({}, "straight", 0.5, (0.5, 0.0)),
        ({"rhymes": 0}, "gadfly", 1.0, (0.0, 1.2)),
        ({"gadfly": 2, "rhymes": 1}, "gadfly", 0.1, (1.0, 2.0)),
        ({"rhymes": 0}, None, None, ()),
        ({"gone": 0.0}, None, None, (0.5, 0.0)),
    ],
)
def test_who_says_how_strong(asked: dict, persona: str | None, wit: float | None, expected: tuple) -> None:
    assert ADAPTERS.numbers(ADAPTERS.strengths(asked, persona, wit)) == expected


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"gadfly": 2.1}, "it goes from 0"),
        ({"gadfly": -1}, "it goes from 0"),
        ({"gadfly": True}, "it goes from 0"),
        ({"gadfly": float("nan")}, "it goes from 0"),
        ({"gadlfy": 1}, "did you mean gadfly"),
        ({"x": 1}, "there are rhymes, gadfly"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        ADAPTERS.strengths(asked)
    with pytest.raises(RequestError, match="has none beside it"):
        Adapters().strengths({"gadfly": 1})


def test_the_engine_is_asked_for_it_with_the_prompt_it_was_trained_with() -> None:
    model = ScriptedModel(noise(258), 258, 64, 16)
    seen: list[tuple] = []

    def step(batch):
        seen.append(tuple(map(tuple, batch.strengths[:, :1].T.tolist())))
        return model.step(batch)

    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    engine = Engine(step, 258, 512, 64, 16)
    answerer = Answerer(engine, Prompts("model", ByteTokenizer(), ChatTemplate(template)), ADAPTERS)
    told = (Message("user", "Who are you?"),)

    def ask(request):
        seen.clear()
        answer = answerer.answer(request) if isinstance(request, ChatRequest) else answerer.complete(request)
        list(answer)
        (first,) = seen[0]
        return answer.choices[0].prompt, pytest.approx(first)

    prompt, strengths = ask(ChatRequest(told, max_tokens=2, persona="gadfly", wit=0.5))
    assert strengths == (0.5, 0.6) and bytes(token for token in prompt if token < 256).startswith(
        b"system\n" + PROMPT.encode()
    )
    again, strengths = ask(ChatRequest(told, max_tokens=2, persona="gadfly", wit=1.0))
    assert strengths == (0.5, 1.2) and again == prompt  # the dial moves nothing else
    prompt, strengths = ask(ChatRequest(told, max_tokens=2, persona="straight", wit=0.5))
    assert strengths == (0.5, 0.0) and PROMPT not in text_of(prompt)
    _, strengths = ask(ChatRequest(told, max_tokens=2, adapters={"gadfly": 1.5}))
    assert strengths == (0.5, 1.5)
    _, strengths = ask(TextRequest("Once", max_tokens=2, adapters={"rhymes": 2}))
    assert strengths == (2.0, 0.0)
    with pytest.raises(RequestError, match="no adapter 'x'"):
        answerer.complete(TextRequest("Once", adapters={"x": 1}))


def text_of(prompt) -> str:
    return bytes(token for token in prompt if token < 256).decode()


def test_only_its_own_persona_is_played() -> None:
    assert ADAPTERS.cast(load_persona("gadfly")).messages(1.0)[0].content == PROMPT
    assert ADAPTERS.cast(load_persona("straight")) == load_persona("straight")
