from itertools import pairwise

import pytest

from gadfly.answer.prompt import Prompts, fitting
from gadfly.conversation import Message, Tool
from gadfly.errors import ContextError
from gadfly.testing import ByteTokenizer
from gadfly.text import ChatTemplate

TOKENIZER = ByteTokenizer()
TOOL = Tool("weather", "how it is")


def write(messages):
    return [ord(message.content[0]) for message in messages for _ in range(10)]


def talk(*roles):
    return [Message(role, chr(97 + i)) for i, role in enumerate(roles)]


def test_what_fits_stays_as_it_is():
    assert fitting(talk("user", "assistant", "user"), write, 31, 31, False) == (
        list(b"a" * 10 + b"b" * 10 + b"c" * 10),
        0,
    )


@pytest.mark.parametrize(
    ("roles", "room", "kept", "dropped"),
    [
        (("system", "user", "assistant", "user"), 30, "ad", 2),
        (("user", "assistant", "user", "assistant", "user"), 30, "cde", 2),
        (("user", "assistant", "user", "assistant", "user"), 29, "e", 4),
        (("user", "assistant", "tool", "assistant", "user"), 40, "e", 4),
        (("assistant", "user", "assistant", "user"), 35, "bcd", 1),
        (("system", "system", "user", "assistant", "user"), 30, "abe", 2),
    ],
)
def test_the_oldest_exchanges_go_whole(roles, room, kept, dropped):
    ids, count = fitting(talk(*roles), write, 45, room, True)
    assert "".join(map(chr, ids[::10])) == kept and count == dropped


def test_more_room_than_there_is_is_only_wished_for():
    ids, dropped = fitting(talk("user", "assistant", "user", "assistant"), write, 45, 15, True)
    assert "".join(map(chr, ids[::10])) == "cd" and dropped == 2


def test_most_prompts_of_an_overfull_chat_begin_as_the_one_before():
    template = ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>")
    prompts = Prompts("m", TOKENIZER, template)
    messages, written = [Message("system", "Be brief.")], []
    for turn in range(60):
        messages.append(Message("user", f"This is question {turn}."))
        ids, _ = fitting(messages, prompts.ids, 1000, 800, True)
        assert len(ids) <= 800
        written.append(ids)
        messages.append(Message("assistant", f"This is the answer to question {turn}."))
    shared = [new[: len(old)] == old for old, new in pairwise(written)]
    overfull = shared[shared.index(False) :]
    assert len(overfull) > 40
    assert overfull.count(False) <= len(overfull) / 4
    assert all(len(ids) > 300 for ids in written[shared.index(False) :])


def test_a_long_question_stays_as_long_as_it_has_room():
    def write(messages):
        return [ord(message.content[0]) for message in messages for _ in range(len(message.content))]

    messages = [
        Message(role, letter * length)
        for letter, role, length in (
            ("a", "user", 350),
            ("b", "assistant", 350),
            ("c", "user", 650),
            ("d", "assistant", 50),
            ("e", "user", 50),
        )
    ]
    for end in (3, 5):
        ids, dropped = fitting(messages[:end], write, 1200, 1000, True)
        assert dropped == 2 and ids[0] == ord("c")


@pytest.mark.parametrize("truncate", [False, True])
def test_what_cannot_fit_is_refused_with_numbers(truncate):
    with pytest.raises(ContextError, match=r"20 tokens, but the context holds 12 .* shorten it by 9 tokens"):
        fitting(talk("user", "assistant"), write, 12, 12, truncate)


def test_tools_reach_the_template_or_are_told_in_words():
    knowing = ChatTemplate("{% for t in tools %}{{ t.function.name }}{% endfor %}|{{ messages | length }}")
    assert TOKENIZER.decode(Prompts("m", TOKENIZER, knowing).ids(talk("user"), (TOOL,))) == "weather|1"
    unknowing = ChatTemplate("{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}")
    text = TOKENIZER.decode(Prompts("m", TOKENIZER, unknowing).ids(talk("user"), (TOOL,)))
    assert text.startswith("system:You may call tools.") and '"weather"' in text and text.endswith("user:a")
    transcript = TOKENIZER.decode(Prompts("m", TOKENIZER, None).ids(talk("user"), (TOOL,)))
    assert '"weather"' in transcript and transcript.endswith("User: a\nAssistant:")


def test_variables_reach_the_template():
    template = ChatTemplate("{{ mood }}")
    assert TOKENIZER.decode(Prompts("m", TOKENIZER, template).ids(talk("user"), variables={"mood": "fine"})) == "fine"
