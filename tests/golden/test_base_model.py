"""The default model with its template taken away: a base model, as far as Gadfly can see."""

from dataclasses import replace
from pathlib import Path

import pytest

import gadfly
from gadfly.chat.values import Message
from gadfly.ops.native import Native
from gadfly.weights.load import open_model


@pytest.fixture(scope="module")
def base(model_path: Path) -> gadfly.LLM:
    file = open_model(model_path)
    metadata = {key: value for key, value in file.metadata.items() if key != "tokenizer.chat_template"}
    return gadfly.LLM(replace(file, metadata=metadata), file.spec, Native(2), context=512)


def test_it_converses(base: gadfly.LLM) -> None:
    chat = base.chat("straight", wit=0, temperature=0.0, max_tokens=64)
    for question, fact in (("What is the capital of France?", "Paris"), ("What is the capital of Germany?", "Berlin")):
        reply = chat.send(question)
        assert fact in reply.text
        assert reply.text == reply.text.strip()
        assert "User:" not in reply.text
        assert reply.completion.finish_reason == "stop"


def test_when_the_conversation_outgrows_the_context_the_persona_stays(base: gadfly.LLM) -> None:
    chat = base.chat("straight", max_tokens=8, seed=1)
    notices = [chat.send(f"What is {number} + 1?\nUser: {number}").notice for number in range(20)]
    assert any(notices)
    turn = chat.turns[-1]
    told = chat.persona.messages(0.5)
    said = [message for turn in chat.turns[turn.first : -1] for message in turn.messages]
    prompt = base.tokenizer.decode(base.prompt_ids([*told, *said, Message("user", turn.user)]))
    assert prompt.startswith(told[0].content)
    assert turn.reply.completion.usage.prompt_tokens == len(base.tokenizer.encode(prompt)) <= 512 - 8
    assert prompt.count("\nUser:") == 1 + sum(message.role == "user" for message in [*told, *said])


def test_what_is_only_to_be_continued_is_continued_as_it_is(base: gadfly.LLM) -> None:
    text = "User: What is the capital of France?\nAssistant:"
    answer = base.generate(text, max_tokens=32, temperature=0.0)
    assert answer.text.startswith(" ")
    assert answer.usage.prompt_tokens == len(base.tokenizer.encode(text))
