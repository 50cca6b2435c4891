"""The conversation as its user holds it: lines in, a screen out."""

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from gadfly.chat.session import Chat
from gadfly.cli.slash import COMMANDS, suggestions
from gadfly.cli.talk import Talk
from gadfly.errors import NotFoundError
from scripted_speaker import PERSONA, ScriptedSpeaker


class Recorder:
    """A screen that remembers; `pressing` is called between the pieces of an answer."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.pressing = lambda: None

    def note(self, text: str) -> None:
        self.shown.append(text)

    def answer(self, name: str, pieces: Iterable[str]) -> None:
        self.shown.append(f"{name}: ")
        for piece in pieces:
            self.shown[-1] += piece
            self.pressing()


@pytest.fixture
def screen() -> Recorder:
    return Recorder()


@pytest.fixture
def talk(screen: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))

    def open_model(name: str) -> ScriptedSpeaker:
        if name != "parrot":
            raise NotFoundError(f"there is no model called {name!r}")
        return ScriptedSpeaker(lambda asked, _: [asked[-1].content, "!"], context=2048)

    return Talk(
        Chat(ScriptedSpeaker(), PERSONA), screen, "yes-man", open_model, tmp_path / "conversations", stats=False
    )


def last(talk: Talk) -> str:
    return talk.screen.shown[-1]  # type: ignore[attr-defined]


def test_a_line_is_answered(talk: Talk, screen: Recorder):
    assert talk.take("Really?") == ""
    assert screen.shown == ["Tester: Yes, indeed."]


def test_an_empty_line_is_nothing(talk: Talk, screen: Recorder):
    assert talk.take("  \n") == ""
    assert screen.shown == []


def test_a_slash_after_a_space_is_text(talk: Talk):
    talk.take(" /etc/passwd?")
    assert talk.chat.turns[-1].user == " /etc/passwd?"


class TestStopping:
    def press(self, times: int = 1):
        left = [times]

        def pressing() -> None:
            while left[0]:
                left[0] -= 1
                os.kill(os.getpid(), signal.SIGINT)

        return pressing

    def test_ctrl_c_stops_the_answer_and_not_the_program(self, talk: Talk, screen: Recorder):
        before = signal.getsignal(signal.SIGINT)
        screen.pressing = self.press()
        talk.take("Really?")
        assert screen.shown == ["Tester: Yes, ", "(stopped)"]
        assert signal.getsignal(signal.SIGINT) is before
        talk.take("Sure?")
        assert last(talk) == "Tester: Yes, indeed."

    def test_so_does_an_impatient_one(self, talk: Talk, screen: Recorder):
        screen.pressing = self.press(2)
        talk.take("Really?")
        assert screen.shown[-1] == "(stopped)"
        assert talk.chat.turns[-1].reply.text == "Yes, "


class TestTrouble:
    def test_an_error_is_told_and_the_question_can_be_asked_again(self, talk: Talk):
        talk.chat.speaker.failure = NotFoundError("the model walked out")  # type: ignore[attr-defined]
        talk.take("Really?")
        assert last(talk) == "gadfly: the model walked out"
        talk.chat.speaker.failure = None  # type: ignore[attr-defined]
        talk.take("/retry")
        assert last(talk) == "Tester: Yes, indeed."

    def test_a_text_that_is_too_long_comes_back_for_shortening(self, talk: Talk):
        text = "x" * 5000
        assert talk.take(text) == text
        assert "shorten the text" in last(talk)

    def test_so_does_a_changed_question(self, talk: Talk):
        talk.take("Really?")
        talk.take("/edit")
        assert talk.take("x" * 5000) == "x" * 5000
        talk.take("Shorter?")
        assert [turn.user for turn in talk.chat.turns] == ["Shorter?"]

    def test_what_falls_off_is_said_before_the_answer(self, talk: Talk, screen: Recorder):
        for number in range(60):
            talk.take(f"{number} {'x' * 60}")
        at = next(number for number, text in enumerate(screen.shown) if "outgrew the 4096 tokens" in text)
        assert screen.shown[at + 1] == "Tester: Yes, indeed."

    def test_an_answer_that_is_cut_off_is_said_to_be(self, talk: Talk):
        talk.chat.max_tokens = 1
        talk.take("Really?")
        assert last(talk) == "(cut off after 1 tokens)"


class TestCommands:
    def test_help_lists_all_of_them(self, talk: Talk):
        talk.take("/help")
        assert all(f"/{name} " in last(talk) for name in COMMANDS)
        assert {"help", "new", "retry", "edit", "undo", "system", "persona", "wit", "model"} < COMMANDS.keys()
        assert {"save", "load", "stats", "exit"} < COMMANDS.keys()

    @pytest.mark.parametrize(
        ("line", "hint"), [("/hlep", "did you mean /help"), ("/", "/help lists"), ("/xyz", "/help")]
    )
    def test_an_unknown_one_is_explained(self, talk: Talk, line: str, hint: str):
        talk.take(line)
        assert hint in last(talk)

    def test_new(self, talk: Talk):
        talk.take("Really?")
        talk.take("/new")
        assert talk.chat.turns == ()

    @pytest.mark.parametrize("line", ["/retry", "/undo", "/edit", "/edit x", "/stats"])
    def test_without_a_conversation(self, talk: Talk, line: str):
        assert talk.take(line) == ""
        assert last(talk).startswith("gadfly: ")

    def test_undo_says_what(self, talk: Talk):
        talk.take("Really?\nAnd why? " + "x" * 100)
        talk.take("/undo")
        assert last(talk).startswith("Taken back: Really? And why? xxx")
        assert last(talk).endswith("…")

    def test_edit_brings_the_question_back_for_changing(self, talk: Talk):
        talk.take("Really?")
        assert talk.take("/edit") == "Really?"
        talk.take("Honestly?")
        assert [turn.user for turn in talk.chat.turns] == ["Honestly?"]

    def test_an_edit_left_empty_changes_nothing(self, talk: Talk):
        talk.take("Really?")
        talk.take("/edit")
        talk.take("")
        talk.take("Sure?")
        assert [turn.user for turn in talk.chat.turns] == ["Really?", "Sure?"]

    def test_system(self, talk: Talk):
        talk.take("/system Speak like a pirate.")
        assert talk.chat.system == "Speak like a pirate."
        talk.take("/system default")
        assert talk.chat.system is None
        assert "Be brief." in last(talk)

    def test_persona(self, talk: Talk, screen: Recorder):
        talk.take("/persona")
        assert any(text.strip().startswith("straight: ") for text in screen.shown)
        talk.take("/persona straight")
        assert talk.chat.persona.name == "straight"
        talk.take("/persona nobody")
        assert talk.chat.persona.name == "straight"

    def test_wit(self, talk: Talk):
        for line, wit in (("/wit 0.8", 0.8), ("/wit 7", 0.8), ("/wit much", 0.8), ("/wit nan", 0.8), ("/wit 0", 0)):
            talk.take(line)
            assert talk.chat.wit == wit

    def test_model(self, talk: Talk):
        talk.take("Really?")
        talk.take("/model parrot")
        assert last(talk) == "This is parrot, with 2048 tokens of context."
        talk.take("Polly?")
        assert last(talk) == "Tester: Polly?!"
        talk.take("/model nothing")
        assert talk.model == "parrot"
        talk.take("/model")
        assert "This is parrot" in talk.screen.shown[-2]  # type: ignore[attr-defined]

    def test_a_base_model_is_introduced(self, talk: Talk, screen: Recorder):
        talk.open_model = lambda _: ScriptedSpeaker(has_template=False)
        talk.take("/model grok")
        assert "base model playing a part" in screen.shown[0]
        assert last(talk) == "This is grok, with 4096 tokens of context."

    def test_save_and_load(self, talk: Talk, tmp_path: Path):
        talk.take("Really?")
        for line, file in (
            ("/save first", tmp_path / "conversations" / "first.json"),
            (f"/save {tmp_path}/own.json", tmp_path / "own.json"),
        ):
            talk.take(line)
            assert str(file) in last(talk)
            assert json.loads(file.read_text())["turns"][0]["user"] == "Really?"
        talk.take("/new")
        talk.take("/load")
        assert "first" in last(talk)
        talk.chat.persona = PERSONA
        talk.take("/load first")
        assert last(talk) == "Tester: Yes, indeed."
        talk.take("/load ../own.json")
        assert "there is no file" in last(talk)

    def test_saving_without_a_name_keeps_everything(self, talk: Talk):
        talk.take("Really?")
        talk.take("/save")
        assert len(list(talk.folder.iterdir())) == 1

    def test_stats(self, talk: Talk):
        talk.take("Really?")
        talk.take("/stats")
        assert last(talk) == "2 tokens, 8.0 tokens/s; prompt 27 tokens, 0.50 s; context 29 of 4096"
        talk.take("/stats on")
        talk.take("Sure?")
        assert "tokens/s" in last(talk)
        talk.take("/stats off")
        talk.take("Sure?")
        assert last(talk) == "Tester: Yes, indeed."

    @pytest.mark.parametrize("line", ["/exit", "/quit", "/EXIT"])
    def test_exit(self, talk: Talk, line: str):
        talk.take(line)
        assert talk.over


class TestSuggestions:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("/re", ["/retry"]),
            ("/s", ["/system", "/save", "/stats"]),
            ("/persona g", ["gadfly"]),
            ("/stats o", ["on", "off"]),
            ("/retry ", []),
            ("hello", []),
            ("/nonsense x", []),
            ("/a\n/b", []),
        ],
    )
    def test_words_that_may_follow(self, talk: Talk, text: str, words: list[str]):
        assert [word for word, _ in suggestions(talk, text)] == words
