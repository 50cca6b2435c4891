import inspect
from threading import Thread

import pytest

from gadfly.completion import Usage
from gadfly.conversation import ChatRequest, EmbeddingRequest, Finished, Message, TextDelta, TextRequest
from gadfly.errors import ContextError, RequestError
from gadfly.llm import LLM
from gadfly.testing import ScriptedAnswers

END = Finished("stop", Usage(3, 0, 2, 0.0, 0.0))
HELLO = [TextDelta("Hel"), TextDelta("lo."), END]
ASKED = ChatRequest((Message("user", "Hi"),))


def test_scripts_are_answered_in_turn_and_the_last_again():
    llm = ScriptedAnswers(HELLO, [END])
    assert list(llm.answer(ASKED)) == HELLO
    assert list(llm.complete(TextRequest("Once"), client="ann")) == [END]
    assert list(llm.answer(ASKED)) == [END]
    assert llm.requests == [ASKED, TextRequest("Once"), ASKED]
    assert llm.terms == [{}, {"client": "ann"}, {}]


def test_every_choice_has_the_script():
    llm = ScriptedAnswers(HELLO)
    answer = llm.answer(ChatRequest(ASKED.messages, n=2))
    assert list(answer) == 2 * HELLO
    assert answer.finished


def test_held_answers_wait_for_their_release_and_listeners_hear_of_it():
    llm, heard = ScriptedAnswers(HELLO), []
    llm.hold()
    (choice,) = llm.answer(ASKED, heard.append).choices
    assert choice.take() == [] and not choice.finished
    before = len(heard)
    reader = Thread(target=lambda: heard.append(list(choice)))
    reader.start()
    llm.release()
    reader.join()
    assert len(heard) > before and HELLO in heard


def test_a_cancelled_answer_ends_and_a_failing_one_fails_after_what_came_before():
    llm = ScriptedAnswers(HELLO, [TextDelta("Hel"), RequestError("no")])
    llm.hold()
    (choice,) = llm.answer(ASKED).choices
    choice.cancel()
    assert [event.reason for event in choice.take()] == ["cancelled"]
    llm.release()
    (choice,) = llm.answer(ASKED).choices
    assert choice.take() == [TextDelta("Hel")]
    with pytest.raises(RequestError, match="no"):
        choice.take()
    assert choice.finished and choice.take() == []


def test_what_is_too_long_is_refused():
    with pytest.raises(ContextError, match="context holds 8"):
        ScriptedAnswers(HELLO, context=8).answer(ASKED)


def test_vectors_are_counted_and_the_thread_ends_when_it_is_drained():
    llm = ScriptedAnswers(HELLO)
    found = llm.embed(EmbeddingRequest(("abc", (1, 2))))
    assert found.vectors == ((0.6, 0.8), (0.6, 0.8)) and found.tokens == 5
    thread = Thread(target=llm.run)
    thread.start()
    llm.drain()
    thread.join()


def test_it_takes_what_a_model_takes():
    for name in ("answer", "complete", "run", "drain", "counts"):
        real, fake = (inspect.signature(getattr(kind, name)) for kind in (LLM, ScriptedAnswers))
        assert list(real.parameters) == list(fake.parameters), name
