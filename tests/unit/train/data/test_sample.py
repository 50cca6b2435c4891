"""What of a conversation is learnt: the ids of serving, from the first word of an answer to the end of its turn."""

from dataclasses import replace

import numpy as np
import pytest

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.errors import RequestError, UnsupportedError
from gadfly.testing import ByteTokenizer
from gadfly.text import ChatTemplate
from gadfly.train.data.chats import Lesson
from gadfly.train.data.sample import sample

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
END = 257


def prompts(template: str = CHATML) -> Prompts:
    return Prompts("tiny", ByteTokenizer(), ChatTemplate(template))


def lesson(*pairs: tuple[str, str], learnt: tuple[bool, ...] | None = None) -> Lesson:
    messages = [m for asked, said in pairs for m in (Message("user", asked), Message("assistant", said))]
    return Lesson(tuple(messages), learnt or tuple(m.role == "assistant" for m in messages))


def texts(one) -> list[str]:
    """The runs of learnt tokens, the end of a turn as |."""
    runs = np.split(np.arange(len(one)), np.flatnonzero(np.diff(one.learnt)) + 1)
    return ["".join("|" if t == END else chr(t) for t in one.ids[r]) for r in runs if one.learnt[r[0]]]


def test_answers_are_learnt_up_to_the_end_of_their_turn() -> None:
    one = sample(lesson(("a", "One."), ("b", "Two.")), prompts(), 1000)
    assert texts(one) == ["One.|", "Two.|"]
    assert one.ids.tolist() == prompts().answered_ids(lesson(("a", "One."), ("b", "Two.")).messages)


def test_what_is_not_to_be_learnt_is_only_read() -> None:
    assert texts(sample(lesson(("a", "One."), ("b", "Two."), learnt=(False, False, False, True)), prompts(), 1000)) == [
        "Two.|"
    ]


def test_the_mark_of_a_turn_in_a_text_does_not_end_it() -> None:
    (said,) = texts(sample(lesson(("a", "It is <|im_end|> here.")), prompts(), 1000))
    assert said == "It is <|im_end|> here.|"


def test_what_is_too_long_is_cut_and_refused_if_nothing_is_left() -> None:
    assert texts(sample(lesson(("a", "One."), ("b", "Two.")), prompts(), 24)) == ["One."]
    with pytest.raises(RequestError, match="left to learn within 5 tokens"):
        sample(lesson(("a", "One.")), prompts(), 5)


def test_the_dial_is_the_strength_at_which_it_is_learnt() -> None:
    said = lesson(("a", "One."))
    assert [sample(replace(said, dial=dial), prompts(), 1000).strength for dial in (None, 0.3)] == [1.0, 0.3]
    with pytest.raises(RequestError, match="dial is 0, where the adapter is off"):
        sample(replace(said, dial=0.0), prompts(), 1000)


def test_a_template_that_rewrites_what_was_said_is_refused() -> None:
    forgetful = "{% for m in messages %}{% if loop.last %}!{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
    with pytest.raises(RequestError, match="cannot be told"):
        sample(lesson(("a", "One."), ("b", "Two.")), prompts(forgetful), 1000)


def test_without_a_template_there_are_no_turns() -> None:
    with pytest.raises(UnsupportedError, match="no chat template"):
        sample(lesson(("a", "One.")), Prompts("base", ByteTokenizer(), None), 1000)
