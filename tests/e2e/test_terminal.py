"""gadfly chat in a real terminal (a pseudo-terminal), with a scripted model that never ends by itself."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.server import ToolServer

PROGRAM = """
import os, sys
import gadfly.cli.chat
from gadfly.cli.main import main
from gadfly.completion import Usage
from gadfly.conversation import Finished, TextDelta, ToolCallDelta, ToolCallStart
from gadfly.testing import ScriptedAnswers
from scripted_speaker import ScriptedGeneration, ScriptedSpeaker

class Endless(ScriptedGeneration):
    def __iter__(self):
        self.woken, self.waker = os.pipe()  # a signal handler may write to it, but not touch a lock
        for piece in ("**la** ", "la ", "laaa"):
            self.said.append(piece)
            yield piece
        os.read(self.woken, 1)

    def cancel(self):
        super().cancel()
        os.write(self.waker, b"!")

class Speaker(ScriptedSpeaker):
    def respond(self, prompt_ids, max_tokens, sampling, stop, adapters=None):
        question = self.parse(prompt_ids)[-1].content
        if question.startswith("Sing"):
            return Endless((), prompt_ids, None)
        return ScriptedGeneration([f"You said {len(question)} letters."], prompt_ids, None)

USAGE = Usage(0, 0, 0, 0.0, 0.0)
POKE = (ToolCallStart(0, "c0", "rude__poke"), ToolCallDelta(0, "{}"), Finished("tool_calls", USAGE))
Speaker.answer = ScriptedAnswers(POKE, POKE, (TextDelta("It says ouch."), Finished("stop", USAGE))).answer
gadfly.cli.chat.load_model = lambda *_, **__: Speaker()
gadfly.cli.chat.choose_model = lambda *_: "scripted"
sys.exit(main(["chat", *sys.argv[1:]]))
"""


class Terminal:
    """A program in a pseudo-terminal of 80 by 24."""

    def __init__(self, home: Path, term: str, *arguments: str) -> None:
        self.output = ""
        self._seen = 0
        environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "GADFLY_HOME": str(home),
            "TERM": term,
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "LC_ALL": "C.UTF-8",
        }
        self._process, self._screen = pty.fork()
        if self._process == 0:
            os.execve(sys.executable, [sys.executable, "-c", PROGRAM, *arguments], environ)
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def expect(self, text: str) -> None:
        """Wait until the text appears after what was expected before."""
        while (at := self.text.find(text, self._seen)) < 0:
            assert self._read(), f"the program ended without {text!r}: {self.text}"
        self._seen = at + len(text)

    def expect_prompt(self) -> None:
        """Wait until the program listens to keys: what is typed before goes through the terminal's own editing."""
        self.expect("You:")
        self.listens()

    def listens(self) -> None:
        while termios.tcgetattr(self._screen)[3] & termios.ICANON:
            select.select([self._screen], [], [], 0.01)

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._screen)[3] & termios.ECHO)

    def exit_code(self) -> int:
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])

    @property
    def text(self) -> str:
        """What was written, without the control sequences of prompt-toolkit and rich."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", "", self.output)

    def _read(self) -> bool:
        assert select.select([self._screen], [], [], 30)[0], f"nothing for half a minute after {self.text}"
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.output += data.decode(errors="replace")
        return bool(data)


@pytest.fixture(params=["xterm-256color", "dumb"])
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, request.param)
    yield opened
    os.close(opened._screen)


def test_a_conversation(terminal: Terminal):
    terminal.expect("/help")
    terminal.expect_prompt()
    terminal.press("Sing!\r")
    terminal.expect("laaa")
    assert not terminal.echoes  # or what is typed now would stand in the answer
    terminal.press("\x03")
    terminal.expect("(stopped)")
    terminal.expect_prompt()
    terminal.press("/undo\r")
    terminal.expect("Taken back: Sing!")
    terminal.expect_prompt()
    terminal.press("one\\\rtwo\r")
    terminal.expect("You said 7 letters.")
    terminal.expect_prompt()
    terminal.press("nonsense\x03")
    terminal.expect_prompt()
    terminal.press("/exit\r")
    assert terminal.exit_code() == 0


def test_a_call_of_a_tool_is_asked_for_and_what_was_typed_before_is_no_consent(tmp_path: Path):
    file = ToolFile(tmp_path)
    file.add(
        ToolServer("rude", (sys.executable, str(Path(__file__).parents[1] / "tool_servers" / "rude.py"), "polite"))
    )
    file.allow("gadfly", ["rude"])
    terminal = Terminal(tmp_path, "xterm-256color")
    terminal.expect_prompt()
    terminal.press("Poke it.\ro\r")
    terminal.expect("Gadfly wants to call rude/poke {}")
    terminal.expect("(o/c/n):")
    terminal.listens()
    assert "Calling" not in terminal.text
    terminal.press("n\r")
    terminal.expect("Gadfly wants to call rude/poke {}")  # the question before it is drawn once more with its answer
    terminal.expect("(o/c/n):")
    terminal.listens()
    assert "Calling" not in terminal.text
    terminal.press("once\r")
    terminal.expect("Calling rude/poke {}")
    terminal.expect("Result: ouch")
    terminal.expect("It says ouch.")
    terminal.expect_prompt()
    terminal.press("\x04")
    assert terminal.exit_code() == 0
    os.close(terminal._screen)


def test_ctrl_d_leaves(terminal: Terminal):
    terminal.expect_prompt()
    terminal.press("\x04")
    assert terminal.exit_code() == 0


def test_a_dumb_terminal_gets_no_colour_and_no_redrawn_answer(tmp_path: Path):
    terminal = Terminal(tmp_path, "dumb", "--stats")
    terminal.expect_prompt()
    terminal.press("Hello\r")
    terminal.expect("You said 5 letters.\n")
    terminal.expect("1 tokens, 4.0 tokens/s")
    terminal.expect_prompt()
    terminal.press("\x04")
    assert terminal.exit_code() == 0
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.output)


def test_a_conversation_goes_on_another_day(tmp_path: Path):
    first = Terminal(tmp_path, "dumb")
    first.expect_prompt()
    first.press("Hello\r")
    first.expect("You said 5 letters.\n")
    first.expect_prompt()
    first.press("\x04")
    assert first.exit_code() == 0
    second = Terminal(tmp_path, "dumb", "--continue")
    second.expect("You: Hello")
    second.expect("You said 5 letters.")
    second.expect_prompt()
    second.press("/chats letters\r")
    second.expect("Hello")
    second.expect("You said 5 letters.")
    second.expect_prompt()
    second.press("\x04")
    assert second.exit_code() == 0


def test_a_private_conversation_leaves_nothing(tmp_path: Path):
    terminal = Terminal(tmp_path, "dumb", "--no-store")
    terminal.expect("Nothing of this is kept.")
    terminal.expect_prompt()
    terminal.press("Hello\r")
    terminal.expect("You said 5 letters.\n")
    terminal.expect_prompt()
    terminal.press("/chats\r")
    terminal.expect("private")
    terminal.expect_prompt()
    terminal.press("\x04")
    assert terminal.exit_code() == 0
    assert not list(tmp_path.glob("chats*"))
