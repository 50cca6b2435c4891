"""Tools in the terminal chat: what is shown, what is asked, and what the model gets."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gadfly.chat.kept import Kept
from gadfly.chat.session import Chat
from gadfly.chat.settled import STOPPED
from gadfly.chat.store import Store
from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.server import ToolServer
from gadfly.chat.tools.toolbox import Toolbox
from gadfly.cli.slash import suggestions
from gadfly.cli.talk import Talk
from gadfly.cli.talk_tools import TalkTools
from gadfly.completion import Usage
from gadfly.conversation import Finished, Message, TextDelta, ToolCallDelta, ToolCallStart
from gadfly.testing import ScriptedAnswers
from scripted_speaker import PERSONA, ScriptedSpeaker
from unit.cli.test_talk import Recorder

RUDE = str(Path(__file__).parents[2] / "tool_servers" / "rude.py")
USAGE = Usage(7, 3, 2, 0.25, 0.5)
SAID = (TextDelta("It says ouch."), Finished("stop", USAGE))


def calling(name: str, arguments: str = "{}", text: str = "") -> tuple[Any, ...]:
    said = (TextDelta(text),) if text else ()
    return (*said, ToolCallStart(0, "c0", name), ToolCallDelta(0, arguments), Finished("tool_calls", USAGE))


class Speaker(ScriptedSpeaker):
    """Answers in events from scripts where tools are offered, and as its parent does otherwise."""

    def __init__(self, *scripts: tuple[Any, ...]) -> None:
        super().__init__()
        self.events = ScriptedAnswers(*scripts)
        self.answer = self.events.answer


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Talk, Recorder, Speaker]]]:
    """A talk with a persona that may use a server of this mode; `answers` are what the user types when asked."""
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    opened: list[Any] = []

    def start(mode: str, *scripts: tuple[Any, ...], answers: str = "", kept: Kept | None = None) -> Any:
        file = ToolFile(tmp_path)
        file.add(ToolServer("rude", (sys.executable, RUDE, mode)))
        file.allow(PERSONA.name, ["rude"])
        box = Toolbox(file)
        opened.append(box)
        screen, speaker = Recorder(), Speaker(*scripts)
        tools = TalkTools(box, file)
        typed = iter(answers.split())
        tools.ask = lambda question: screen.note(question) or next(typed)
        return Talk(Chat(speaker, PERSONA, kept=kept), screen, "m", None, tmp_path, False, tools), screen, speaker

    yield start
    for box in opened:
        box.close()


def test_a_call_is_shown_asked_for_and_answered(begin) -> None:
    talk, screen, speaker = begin("polite", calling("rude__poke", text="Let me see. "), SAID, answers="what? o")
    talk.take("Poke it.")
    question = "Allow it? once, for this chat, or no (o/c/n): "
    assert screen.shown == [
        "Tester: Let me see. ",
        "Tester wants to call rude/poke {}",
        question,
        question,
        "Calling rude/poke {}",
        "Result: ouch",
        "Tester: It says ouch.",
    ]
    turn = talk.chat.turns[-1]
    assert turn.reply.text == "It says ouch." and [one.role for one in turn.between] == ["assistant", "tool"]
    first, second = speaker.events.requests
    assert [tool.name for tool in first.tools] == ["rude__poke"]
    assert [one.role for one in second.messages][-3:] == ["user", "assistant", "tool"]
    talk.take("And?")
    assert [one.role for one in speaker.events.requests[-1].messages][-5:] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


def test_consent_for_the_chat_ends_with_it(begin) -> None:
    poke = calling("rude__poke")
    talk, screen, _ = begin("polite", poke, SAID, poke, SAID, poke, SAID, answers="c n")
    talk.take("Poke it.")
    talk.take("Again.")
    assert sum("wants to call" in line for line in screen.shown) == 1
    assert sum("Calling" in line for line in screen.shown) == 2
    talk.take("/new")
    talk.take("Again.")
    assert sum("wants to call" in line for line in screen.shown) == 2


def test_a_refusal_reaches_the_model_and_no_server(begin) -> None:
    talk, screen, speaker = begin("dies", calling("rude__poke"), SAID, answers="n")
    talk.take("Poke it.")
    assert speaker.events.requests[-1].messages[-1].content == "not called: the user did not allow it"
    assert screen.shown[-1] == "Tester: It says ouch." and not any("Calling" in line for line in screen.shown)


def test_what_goes_wrong_is_shown_and_told(begin) -> None:
    talk, screen, speaker = begin("dies", calling("rude__poke"), SAID, answers="o")
    talk.take("Poke it.")
    assert any(line.startswith("It failed: rude ended with exit code 3") for line in screen.shown)
    assert "I fell" in speaker.events.requests[-1].messages[-1].content


def test_ctrl_c_at_the_question_or_in_a_call_ends_the_answer(begin) -> None:
    talk, screen, speaker = begin("silent", calling("rude__poke"), SAID, answers="o")

    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    typed, talk.tools.ask = talk.tools.ask, interrupt
    talk.take("Poke it.")
    assert screen.shown[-1] == "(stopped)" and talk.chat.step is None and len(speaker.events.requests) == 1
    assert talk.chat.turns[-1].between[-1].content == STOPPED

    talk, screen, speaker = begin_again(talk)
    talk.tools.ask = typed
    note = screen.note

    def press(text: str) -> None:
        note(text)
        if text.startswith("Calling"):
            signal.setitimer(signal.ITIMER_REAL, 0.2)

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    screen.note = press
    talk.take("Poke it.")
    signal.signal(signal.SIGALRM, before)
    assert screen.shown[-1] == "(stopped)" and talk.chat.step is None


def begin_again(talk: Talk) -> tuple[Talk, Recorder, Speaker]:
    """The same talk with a fresh script."""
    again, screen = Speaker(calling("rude__poke"), SAID), Recorder()
    talk.chat.speaker, talk.screen = again, screen
    return talk, screen, again


def test_calls_are_kept_and_the_conversation_goes_on_from_the_store(begin, tmp_path: Path) -> None:
    with closing(Store(tmp_path / "chats.sqlite")) as store:
        kept = Kept(store)
        talk, _, _ = begin("polite", calling("rude__poke"), SAID, answers="o", kept=kept)
        talk.take("Poke it.")
        nodes = store.open("", kept.chat).path
        assert [node.message.role for node in nodes] == ["user", "assistant", "tool", "assistant"]
        assert nodes[1].message.tool_calls[0].name == "rude__poke"
        assert nodes[2].message == Message("tool", "ouch", tool_call_id="c0", name="rude__poke")
        speaker = Speaker(SAID)
        later = Chat(speaker, PERSONA, kept=Kept(store))
        later.open(kept.chat)
        assert [one.role for one in later.turns[-1].messages] == ["user", "assistant", "tool", "assistant"]
        talk.take("/retry")
        assert len(store.open("", kept.chat).tree.children(nodes[0].id)) == 2


def test_in_programs_calls_are_refused(begin) -> None:
    talk, _, speaker = begin("polite", calling("rude__poke"), SAID)
    talk.tools.equip(talk)
    assert talk.chat.send("Poke it.").text == "It says ouch."
    assert "did not allow" in speaker.events.requests[-1].messages[-1].content


def test_the_command_shows_and_chooses(begin) -> None:
    talk, screen, _ = begin("polite", SAID)
    talk.take("/tools")
    assert screen.shown == ["rude/poke  Poke it."]
    talk.take("/tools off")
    assert screen.shown[-1].startswith("No tools are offered. There are: rude.")
    talk.take("Hello?")
    assert screen.shown[-1] == "Tester: Yes, indeed."
    talk.take("/tools rude/poke")
    assert screen.shown[-1] == "rude/poke  Poke it."
    talk.take("/tools nothing")
    assert "no tools called 'nothing'" in screen.shown[-1]
    talk.take("/tools default")
    assert [word for word, _ in suggestions(talk, "/tools ")] == ["off", "default", "rude"]


def test_a_server_that_fails_is_told_once(begin) -> None:
    talk, screen, _ = begin("ancient", SAID)
    talk.take("Hello?")
    talk.take("Hello?")
    assert sum("1999-12-31" in line for line in screen.shown) == 1
    assert screen.shown[-1] == "Tester: Yes, indeed."


def test_without_a_box_there_is_nothing_to_choose(tmp_path: Path) -> None:
    screen = Recorder()
    talk = Talk(Chat(ScriptedSpeaker(), PERSONA), screen, "m", None, tmp_path, False)
    talk.take("/tools")
    assert screen.shown == ["gadfly: there are no tools in this conversation"]
