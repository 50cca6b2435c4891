"""Conversations are found by their owners, and the oldest make room."""

from gadfly.conversation import Message, ToolCall
from gadfly.server.continuations import Continuations

HELLO = (Message("user", "Hello."), Message("assistant", "", tool_calls=(ToolCall("1", "wave", "{}"),)))


def test_a_conversation_is_found_by_its_owner_and_nobody_else():
    kept = Continuations(10, 10**6)
    kept.keep("resp_1", "anna", HELLO)
    assert kept.find("resp_1", "anna") == HELLO
    assert kept.find("resp_1", "ben") is kept.find("resp_2", "anna") is None
    assert not kept.forget("resp_1", "ben")
    assert kept.forget("resp_1", "anna")
    assert kept.find("resp_1", "anna") is None


def test_the_oldest_go_when_there_are_too_many_or_too_much():
    kept = Continuations(3, 10**6)
    for number in range(5):
        kept.keep(str(number), "", HELLO)
    assert [kept.find(str(number), "") is not None for number in range(5)] == [False, False, True, True, True]
    small = Continuations(100, 10_000)
    for number in range(50):
        small.keep(str(number), "", [Message("user", "x" * 1000)])
    assert len(small) == 2
    small.keep("large", "", [Message("user", "x" * 10_000)])
    assert small.find("large", "") is None
    assert len(small) == 2
