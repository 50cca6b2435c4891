"""gadfly run and gadfly chat without a terminal."""

import importlib
import io
import json

import pytest
from click.testing import CliRunner, Result

from gadfly.cli.main import gadfly, main
from gadfly.cli.options import read_adapters
from gadfly.errors import NotFoundError
from scripted_speaker import ScriptedSpeaker


@pytest.fixture
def speaker() -> ScriptedSpeaker:
    return ScriptedSpeaker("Because of Rayleigh scattering.")


@pytest.fixture(autouse=True)
def models(speaker: ScriptedSpeaker, monkeypatch: pytest.MonkeyPatch, tmp_path):
    """A machine on which the scripted speaker is the only model, called smollm2."""

    def load(name: str, *_: object, **__: object) -> ScriptedSpeaker:
        if name != "smollm2":
            raise NotFoundError(f"there is no model called {name!r}")
        return speaker

    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    for name in ("run", "chat"):
        monkeypatch.setattr(importlib.import_module(f"gadfly.cli.{name}"), "load_model", load)
    monkeypatch.setattr(importlib.import_module("gadfly.cli.chat"), "choose_model", lambda settings, _: settings.model)


def call(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(gadfly, arguments, input=stdin, catch_exceptions=False)


class TestRun:
    def test_stdout_gets_the_answer_and_nothing_else(self, speaker: ScriptedSpeaker):
        done = call("run", "smollm2", "Why is the sky blue?")
        assert (done.exit_code, done.stdout, done.stderr) == (0, "Because of Rayleigh scattering.\n", "")
        assert speaker.asked[-1][0].role == "system"
        assert "Gadfly" in speaker.asked[-1][0].content

    @pytest.mark.parametrize("arguments", [("-",), ()])
    def test_the_prompt_may_come_from_stdin(self, speaker: ScriptedSpeaker, arguments: tuple[str, ...]):
        assert call("run", "smollm2", *arguments, stdin="Why?\nReally?\n").exit_code == 0
        assert speaker.asked[-1][-1].content == "Why?\nReally?"

    def test_raw_continues_the_text_as_it_is(self, speaker: ScriptedSpeaker):
        call("run", "smollm2", "--raw", "Once upon")
        assert [message.content for message in speaker.asked[-1]] == ["Once upon"]

    def test_so_does_every_model_without_a_template(self, speaker: ScriptedSpeaker):
        speaker.has_template = False
        assert call("run", "smollm2", "Once upon").stdout == "Because of Rayleigh scattering.\n"
        assert [message.content for message in speaker.asked[-1]] == ["Once upon"]

    def test_persona_wit_and_system(self, speaker: ScriptedSpeaker):
        call("run", "smollm2", "Why?", "--persona", "straight")
        straight = speaker.asked[-1]
        call("run", "smollm2", "Why?", "--wit", "1")
        assert speaker.asked[-1] != straight
        call("run", "smollm2", "Why?", "--system", "Hm.")
        assert [message.content for message in speaker.asked[-1]] == ["Hm.", "Why?"]

    def test_json(self):
        done = call("run", "smollm2", "Why?", "--json", "--wit", "0", "--stats")
        facts = json.loads(done.stdout)
        assert (facts["text"], facts["finish_reason"]) == ("Because of Rayleigh scattering.", "stop")
        assert (facts["model"], facts["persona"], facts["wit"]) == ("smollm2", "gadfly", 0)
        assert facts["usage"]["completion_tokens"] == 4
        assert "16.0 tokens/s" in done.stderr

    def test_a_cut_is_said_unless_it_was_asked_for(self, speaker: ScriptedSpeaker):
        assert call("run", "smollm2", "Why?", "--max-tokens", "2").stderr == ""
        speaker._answer = "word " * 2000
        done = call("run", "smollm2", "Why?")
        assert "cut off after 1024 tokens" in done.stderr
        assert call("run", "smollm2", "Why?", "--raw").stderr == done.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["smollm2", "Why?", "--wit", "2"], "--wit is 2.0"),
            (["smollm2", "Why?", "--temperature", "-1"], "temperature is -1.0"),
            (["smollm2", "Why?", "--max-tokens", "0"], "max_tokens is 0"),
            (["smollm2", "Why?", "--persona", "gadfli"], "did you mean gadfly"),
            (["nothing", "Why?"], "there is no model called 'nothing'"),
            (["smollm2", "  "], "the question is empty"),
            (["smollm2", "word " * 2000], "shorten the text"),
            (["smollm2", "Why?", "--seed", "x"], "not a valid integer"),
        ],
    )
    def test_what_is_wrong_is_one_line_and_exit_code_2(self, arguments: list[str], says: str, capsys):
        assert main(["run", *arguments]) == 2
        shown = capsys.readouterr()
        assert says in shown.err
        assert shown.out == ""


class TestChatInAPipe:
    def test_every_line_is_a_question_of_one_conversation(self, speaker: ScriptedSpeaker):
        done = call("chat", stdin="Why?\n\n  Really?  \n")
        answer = "Because of Rayleigh scattering.\n"
        assert (done.exit_code, done.stdout, done.stderr) == (0, f"{answer}\n{answer}", "")
        assert [message.content for message in speaker.asked[-1][-3:]] == ["Why?", answer.strip(), "Really?"]

    def test_if_nobody_asks_it_asks_itself(self, speaker: ScriptedSpeaker):
        done = call("chat")
        assert done.stdout == "Because of Rayleigh scattering.\n"
        assert "Why is the sky blue?" in done.stderr
        assert speaker.asked[-1][-1].content == "Why is the sky blue?"

    def test_a_slash_is_no_command_there(self, speaker: ScriptedSpeaker):
        call("chat", stdin="/exit\n")
        assert speaker.asked[-1][-1].content == "/exit"

    def test_a_saved_conversation_goes_on(self, speaker: ScriptedSpeaker, tmp_path):
        from gadfly.chat.persona import load_persona
        from gadfly.chat.session import Chat

        chat = Chat(speaker, load_persona("straight"))
        chat.send("Why?")
        chat.save(tmp_path / "chat.json")
        call("chat", "--load", str(tmp_path / "chat.json"), stdin="Really?\n")
        assert "Why?" in [message.content for message in speaker.asked[-1]]

    @pytest.mark.parametrize("arguments", [("smollm2",), ("--model", "smollm2"), ("smollm2", "--model", "smollm2")])
    def test_the_model_may_be_named_in_either_way(self, arguments: tuple[str, ...]):
        assert call("chat", *arguments, stdin="Why?\n").exit_code == 0

    def test_but_only_one(self, capsys):
        assert main(["chat", "smollm2", "--model", "other"]) == 2
        assert "Two models" in capsys.readouterr().err

    def test_a_base_model_is_talked_to_and_introduced_once(self, speaker: ScriptedSpeaker):
        speaker.has_template = False
        done = call("chat", stdin="Why?\nReally?\n")
        assert done.stdout == "Because of Rayleigh scattering.\n\nBecause of Rayleigh scattering.\n"
        assert done.stderr.count("base model playing a part") == 1
        assert done.stderr.count("\n") == 1

    def test_an_answer_that_fails_ends_it(self, speaker: ScriptedSpeaker, capsys, monkeypatch):
        speaker.failure = NotFoundError("the model walked out")
        monkeypatch.setattr("sys.stdin", io.StringIO("Why?\nReally?\n"))
        assert main(["chat"]) == 2
        assert len(speaker.asked) == 1
        assert "the model walked out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), None),
        (("none",), {}),
        (("pirate",), {"pirate": 1.0}),
        (("pirate=0.5", "./a=b/poet"), {"pirate": 0.5, "./a=b/poet": 1.0}),
    ],
)
def test_adapters_are_named_with_their_strengths(given: tuple, expected: dict | None):
    assert read_adapters(given) == expected


def test_none_stands_alone():
    assert call("run", "smollm2", "Hello?", "--adapter", "none", "--adapter", "pirate").exit_code == 2
