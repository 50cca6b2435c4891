"""Rounds of calls: who is asked what, when, and what the model is told."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.chat.settled import STOPPED, settled
from gadfly.chat.tools.exchange import (
    CALLS,
    AskModel,
    AskUser,
    CallTool,
    Exchange,
    Grants,
)
from gadfly.chat.tools.offer import Offer, OfferedTool
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.result import ToolResult
from gadfly.chat.tools.source import ServerTool
from gadfly.conversation import Message, Tool, ToolCall
from gadfly.errors import RequestError, ToolError


class Script:
    """A source that does what it is told to."""

    def __init__(self, outcome: ToolResult | Exception = ToolResult("done")) -> None:  # noqa: B008
        self.outcome = outcome
        self.called: list[tuple[str, Mapping[str, Any]]] = []

    def tools(self, patience: Patience) -> tuple[Sequence[ServerTool], Sequence[str]]:  # noqa: ARG002
        return (), ()

    def call(self, tool: str, arguments: Mapping[str, Any], patience: Patience) -> ToolResult:  # noqa: ARG002
        self.called.append((tool, arguments))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def close(self) -> None:
        pass


def offer(source: Script | None = None) -> Offer:
    source = source or Script()
    return Offer(
        tuple(OfferedTool("notes", ServerTool(name), Tool(f"notes__{name}"), source, 60) for name in ("find", "write"))
    )


def call(name: str = "notes__find", arguments: str = '{"text": "bees"}', number: int = 1) -> ToolCall:
    return ToolCall(f"c{number}", name, arguments)


def calls(*made: ToolCall) -> Message:
    return Message("assistant", "", tool_calls=made)


def told(text: str, number: int = 1, name: str = "notes__find") -> Message:
    return Message("tool", text, tool_call_id=f"c{number}", name=name)


ANSWER = Message("assistant", "Bees sting.")


def run(exchange: Exchange) -> None:
    assert isinstance(exchange.step, CallTool)
    exchange.returned(exchange.step.call.run(Patience(60)))


def test_an_answer_without_calls_is_the_end() -> None:
    exchange = Exchange(offer(), Grants())
    assert exchange.step == AskModel((), offer().shown)
    exchange.answered(ANSWER)
    assert exchange.step is None and exchange.take() == [ANSWER] and exchange.take() == []


def test_a_call_is_asked_for_made_and_told() -> None:
    source = Script(ToolResult("\x1b[1mten bees"))
    exchange = Exchange(offer(source), Grants())
    exchange.answered(calls(call()))
    assert isinstance(exchange.step, AskUser) and exchange.step.call.title == 'notes/find {"text": "bees"}'
    assert exchange.take() == [calls(call())] and not source.called
    exchange.decided("once")
    run(exchange)
    assert source.called == [("find", {"text": "bees"})]
    assert isinstance(exchange.step, AskModel) and exchange.step.messages == (calls(call()), told("ten bees"))
    assert exchange.take() == [told("ten bees")]
    exchange.answered(calls(call()))
    assert isinstance(exchange.step, AskUser), "once is once"


def test_consent_for_the_chat_lasts_and_is_for_one_tool() -> None:
    grants = Grants()
    exchange = Exchange(offer(), grants)
    exchange.answered(calls(call(), call(number=2), call("notes__write", number=3)))
    exchange.decided("chat")
    run(exchange)
    run(exchange)
    assert isinstance(exchange.step, AskUser) and exchange.step.call.offered.tool.name == "write"
    later = Exchange(offer(), grants)
    later.answered(calls(call()))
    assert isinstance(later.step, CallTool)
    other = Exchange(offer(), Grants())
    other.answered(calls(call()))
    assert isinstance(other.step, AskUser)


def test_a_refusal_is_told_to_the_model_and_nothing_is_called() -> None:
    source = Script()
    exchange = Exchange(offer(source), Grants())
    exchange.answered(calls(call(), call(number=2)))
    exchange.decided("no")
    assert isinstance(exchange.step, AskUser) and exchange.step.call.id == "c2"
    exchange.decided("no")
    assert isinstance(exchange.step, AskModel) and not source.called
    refused = "not called: the user did not allow it"
    assert exchange.take()[1:] == [told(refused), told(refused, 2)] and exchange.failed == {"c1", "c2"}


def test_a_consent_has_to_be_one() -> None:
    exchange = Exchange(offer(), Grants())
    exchange.answered(calls(call()))
    with pytest.raises(RequestError, match="once, chat or no"):
        exchange.decided("always")  # type: ignore[arg-type]
    assert isinstance(exchange.step, AskUser)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (call("rm_rf"), "there is no tool 'rm_rf'"),
        (call(arguments="{"), "no JSON"),
        (call(arguments="[1]"), "have to be a JSON object"),
        (call(arguments="[" * 90_000), "no JSON"),
        (call(arguments='{"a": "' + "x" * 100_000 + '"}'), "at most 100000 characters"),
        (call(arguments="1" * 5000), "no JSON"),
    ],
)
def test_calls_that_make_no_sense_are_told_without_asking(made: ToolCall, says: str) -> None:
    exchange = Exchange(offer(), Grants())
    exchange.answered(calls(made))
    assert isinstance(exchange.step, AskModel)
    assert says in exchange.take()[1].content and exchange.failed == {"c1"}


def test_no_arguments_are_an_empty_object() -> None:
    source = Script()
    exchange = Exchange(offer(source), Grants())
    exchange.answered(calls(call(arguments="")))
    exchange.decided("once")
    run(exchange)
    assert source.called == [("find", {})]


def test_errors_of_tools_are_results_and_long_results_are_cut() -> None:
    exchange = Exchange(offer(Script(ToolError("notes fell"))), Grants(), limit=10)
    exchange.answered(calls(call()))
    exchange.decided("once")
    run(exchange)
    assert exchange.take()[1] == told("notes fell") and exchange.failed == {"c1"}
    exchange = Exchange(offer(Script(ToolResult("y" * 30))), Grants(), limit=10)
    exchange.answered(calls(call()))
    exchange.decided("once")
    run(exchange)
    assert exchange.take()[1].content.startswith("y" * 10 + "\n[cut off here")


def test_rounds_and_calls_are_bounded() -> None:
    exchange = Exchange(offer(), Grants(), rounds=2)
    for _ in range(2):
        assert isinstance(exchange.step, AskModel) and exchange.step.tools
        exchange.answered(calls(call()))
        exchange.decided("no")
    assert isinstance(exchange.step, AskModel) and exchange.step.tools == ()
    exchange.answered(calls(call()))
    assert exchange.step is None and exchange.take()[-1].content == "not called: there were enough calls"

    source, grants = Script(), Grants()
    exchange = Exchange(offer(source), grants)
    exchange.answered(calls(*(call(number=i) for i in range(20))))
    exchange.decided("chat")
    while isinstance(exchange.step, CallTool):
        run(exchange)
    results = exchange.take()[1:]
    assert len(source.called) == CALLS and [result.tool_call_id for result in results] == [f"c{i}" for i in range(20)]
    assert "8 calls at once are the most" in results[-1].content


def test_it_can_be_stopped_at_any_step() -> None:
    for steps in range(4):
        exchange = Exchange(offer(), Grants())
        if steps > 0:
            exchange.answered(calls(call(), call(number=2)))
        if steps > 1:
            exchange.decided("once")
        if steps > 2:
            run(exchange)
        exchange.stop()
        assert exchange.step is None
        said = exchange.take()
        assert said == settled(said)
        assert [message.content for message in said if message.role == "tool"].count(STOPPED) == (0, 2, 2, 1)[steps]


def test_one_who_stops_a_call_hears_of_it() -> None:
    exchange = Exchange(offer(Script(ToolStopped("stopped"))), Grants())
    exchange.answered(calls(call()))
    exchange.decided("once")
    with pytest.raises(ToolStopped):
        run(exchange)


def test_titles_cannot_give_orders_and_are_short() -> None:
    exchange = Exchange(offer(), Grants())
    exchange.answered(calls(call(arguments=json.dumps({"a": "\x1b[2J\u202e" + "x" * 5000}))))
    assert isinstance(exchange.step, AskUser)
    title = exchange.step.call.title
    assert "\x1b" not in title and "\u202e" not in title and len(title) < 2100


def test_settled_mends_what_an_interruption_left() -> None:
    user = Message("user", "?")
    assert settled([user, calls(call(), call(number=2)), told("a")]) == [
        user,
        calls(call(), call(number=2)),
        told("a"),
        told(STOPPED, 2),
    ]
    assert settled([calls(call()), user]) == [calls(call()), told(STOPPED), user]
    assert settled([user, told("of nothing"), ANSWER]) == [user, ANSWER]
    assert settled([calls(call()), told("a"), told("again")]) == [calls(call()), told("a")]


_MESSAGES = st.lists(
    st.one_of(
        st.just(Message("user", "?")),
        st.builds(lambda numbers: calls(*(call(number=n) for n in numbers)), st.lists(st.integers(0, 3), max_size=3)),
        st.builds(lambda n: told("r", n), st.integers(0, 3)),
    )
)


@given(_MESSAGES)
def test_settled_conversations_pair_calls_and_results(messages: list[Message]) -> None:
    made = settled(messages)
    assert settled(made) == made
    waiting: list[str] = []
    for message in made:
        if message.role == "tool":
            assert message.tool_call_id in waiting
            waiting.remove(message.tool_call_id)
        else:
            assert not waiting
            waiting = [each.id for each in message.tool_calls]
    assert not waiting
    assert [m for m in made if m.role != "tool"] == [m for m in messages if m.role != "tool"]
