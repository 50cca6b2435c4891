from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gadfly.answer import Generation
from gadfly.chat.kept import Kept
from gadfly.chat.persona import Voice
from gadfly.chat.session import Chat
from gadfly.chat.store import Store
from gadfly.chat.values import Message
from gadfly.completion import Sampling
from gadfly.engine import Request
from gadfly.errors import ContextError, NotFoundError, RequestError, UnsupportedError
from gadfly.testing import ByteTokenizer, scripted_engine
from gadfly.text import StopStrings
from scripted_speaker import PERSONA, ScriptedSpeaker


def talk(*questions: str, speaker: ScriptedSpeaker | None = None, **options: object) -> tuple[Chat, ScriptedSpeaker]:
    speaker = speaker or ScriptedSpeaker()
    chat = Chat(speaker, PERSONA, **options)  # type: ignore[arg-type]
    for question in questions:
        chat.send(question)
    return chat, speaker


def said(chat: Chat) -> list[tuple[str, str | None]]:
    return [(turn.user, turn.reply.text if turn.reply else None) for turn in chat.turns]


def test_the_model_sees_the_persona_then_what_was_said_then_the_question():
    _, speaker = talk("One?", "Two?")
    assert speaker.asked[-1] == [
        *PERSONA.messages(0.5),
        Message("user", "One?"),
        Message("assistant", "Yes, indeed."),
        Message("user", "Two?"),
    ]


def test_a_reply_says_who_gave_it_and_what_it_cost():
    chat, _ = talk(wit=0.25)
    reply = chat.send("Really?")
    assert (reply.text, reply.persona, reply.wit, reply.notice) == ("Yes, indeed.", "tester", 0.25, None)
    assert reply.completion.usage.completion_tokens == 2


def test_streaming_gives_the_pieces_and_records_them_at_the_end():
    chat, _ = talk()
    pieces = chat.stream("Really?")
    assert next(pieces) == "Yes, "
    assert said(chat) == [("Really?", None)]
    assert list(pieces) == ["indeed."]
    assert said(chat) == [("Really?", "Yes, indeed.")]


def test_a_system_prompt_of_ones_own_replaces_the_persona():
    _, speaker = talk("Hi", system="Speak like a pirate.")
    assert speaker.asked[-1] == [Message("system", "Speak like a pirate."), Message("user", "Hi")]


class TestStopping:
    def test_a_cancelled_answer_stays_as_far_as_it_came(self):
        chat, _ = talk()
        for _ in chat.stream("Really?"):
            chat.cancel()
        assert said(chat) == [("Really?", "Yes, ")]
        assert chat.turns[-1].reply.completion.finish_reason == "cancelled"

    def test_an_answer_nobody_listens_to_any_more_stays_as_far_as_it_came(self):
        chat, _ = talk()
        next(chat.stream("Really?"))
        chat.send("Sure?")
        assert said(chat) == [("Really?", "Yes, "), ("Sure?", "Yes, indeed.")]

    def test_an_answer_nobody_ever_listened_to_is_none(self):
        chat, speaker = talk()
        chat.stream("Really?")
        chat.send("Sure?")
        assert said(chat) == [("Really?", None), ("Sure?", "Yes, indeed.")]
        assert Message("user", "Really?") not in speaker.asked[-1]

    def test_ctrl_c_keeps_what_was_said_and_passes_on(self):
        chat, speaker = talk()
        speaker.failure = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            chat.send("Really?")
        assert said(chat) == [("Really?", "Yes, indeed.")]

    def test_cancelling_before_the_first_word_leaves_no_empty_answer(self):
        chat, _ = talk()
        pieces = chat.stream("Really?")
        chat.cancel()
        assert list(pieces) == []
        assert said(chat) == [("Really?", None)]
        assert "".join(chat.retry()) == "Yes, indeed."


class TestFailing:
    def test_the_question_stays_and_can_be_asked_again(self):
        chat, speaker = talk("One?")
        speaker.failure = RuntimeError("the cable is out")
        with pytest.raises(RuntimeError):
            chat.send("Two?")
        assert said(chat) == [("One?", "Yes, indeed."), ("Two?", None)]
        speaker.failure = None
        assert "".join(chat.retry()) == "Yes, indeed."
        assert chat.turns[-1].attempt == 0

    def test_a_failing_retry_loses_nothing(self):
        chat, speaker = talk("One?")
        speaker.failure = RuntimeError("the cable is out")
        with pytest.raises(RuntimeError):
            list(chat.retry())
        assert said(chat) == [("One?", "Yes, indeed.")]

    @pytest.mark.parametrize("text", ["", "  \n", "half a \ud83d character"])
    def test_what_is_no_question_is_refused(self, text: str):
        chat, _ = talk("One?")
        for ask in (chat.stream, chat.edit):
            with pytest.raises(RequestError, match="question"):
                ask(text)
        assert said(chat) == [("One?", "Yes, indeed.")]

    def test_there_is_nothing_to_take_back_at_the_beginning(self):
        chat, _ = talk()
        for act in (chat.undo, chat.retry, lambda: chat.edit("x")):
            with pytest.raises(RequestError, match="nothing has been said"):
                act()

    @pytest.mark.parametrize(
        "options", [{"wit": 2}, {"wit": True}, {"temperature": -1}, {"max_tokens": 0}, {"top_q": 1}, {"seed": "x"}]
    )
    def test_options_out_of_range_are_refused_at_once(self, options: dict[str, object]):
        with pytest.raises(RequestError, match=next(iter(options))):
            talk(**options)

    def test_a_model_that_cannot_be_talked_to_says_so_at_once_and_changes_nothing(self):
        class Mute(ScriptedSpeaker):
            def prompt_ids(self, *_: object) -> list[int]:
                raise UnsupportedError("no tokenizer")

        with pytest.raises(UnsupportedError):
            talk(speaker=Mute())
        chat, speaker = talk("One?")
        with pytest.raises(UnsupportedError):
            chat.speaker = Mute()
        assert chat.speaker is speaker


def test_a_model_without_a_template_is_talked_to_and_said_to_play_a_part():
    chat, _ = talk("One?", speaker=ScriptedSpeaker(has_template=False))
    assert said(chat) == [("One?", "Yes, indeed.")]
    assert "base model playing a part" in chat.caveat
    assert "Tester answers" in chat.caveat
    assert talk("One?")[0].caveat is None


class TestSeeds:
    @staticmethod
    def drawing(_: Sequence[Message], sampling: Sampling) -> list[str]:
        return [f"{sampling.seed} at {sampling.temperature}"]

    def test_same_seed_same_conversation_and_a_retry_differs(self):
        def hold() -> list[tuple[str, str | None]]:
            chat, _ = talk("One?", "Two?", speaker=ScriptedSpeaker(self.drawing), seed=7, temperature=0.5)
            list(chat.retry())
            list(chat.retry())
            return said(chat)

        assert hold() == hold() == [("One?", "7 at 0.5"), ("Two?", "9 at 0.5")]

    def test_without_a_seed_the_engine_draws_one(self):
        chat, _ = talk("One?", speaker=ScriptedSpeaker(self.drawing))
        list(chat.retry())
        assert said(chat) == [("One?", "None at 1.0")]


class TestContext:
    """The persona takes 18 tokens and the beginning of the answer one; an exchange of 40 + 58 letters takes 100."""

    question = "q" * 40

    def hold(self, exchanges: int, context: int = 1000) -> tuple[Chat, ScriptedSpeaker]:
        speaker = ScriptedSpeaker(lambda *_: ["a" * 58], context)
        chat, _ = talk(speaker=speaker, max_tokens=100)
        for number in range(exchanges):
            chat.send(f"{number:>40}")
        return chat, speaker

    def test_nothing_is_dropped_while_everything_fits(self):
        chat, speaker = self.hold(9)
        assert len(speaker.prompts[-1]) == 18 + 8 * 100 + 41 + 1 <= 900
        assert chat.notice is None

    def test_the_oldest_exchanges_go_whole_and_it_is_said(self):
        chat, speaker = self.hold(10)
        assert speaker.asked[-1][: len(PERSONA.messages(0))] == PERSONA.messages(0)
        assert [message.content.strip() for message in speaker.asked[-1] if message.role == "user"][1:] == list("56789")
        assert "first 5 exchanges" in chat.notice
        assert chat.turns[-1].reply.notice == chat.notice
        assert len(chat.turns) == 10

    def test_between_two_drops_every_prompt_continues_the_one_before(self):
        _, speaker = self.hold(40)
        broken = sum(new[: len(old) - 1] != old[:-1] for old, new in pairwise(speaker.prompts))
        assert broken <= 40 / 4
        assert max(map(len, speaker.prompts)) <= 900

    def test_it_is_said_once_per_drop(self):
        chat, _ = self.hold(10)
        assert chat.send("short").notice is None
        assert chat.notice is None

    def test_taking_back_brings_back_what_fell_off(self):
        chat, speaker = self.hold(10)
        chat.undo()
        chat.undo()
        list(chat.retry())
        assert "0" in [message.content.strip() for message in speaker.asked[-1]]

    def test_a_larger_model_sees_everything_again(self):
        chat, _ = self.hold(10)
        chat.speaker = larger = ScriptedSpeaker(context=5000)
        chat.send("short")
        assert "0" in [message.content.strip() for message in larger.asked[-1]]

    def test_one_text_that_cannot_fit_is_refused_with_numbers_and_nothing_changes(self):
        chat, _ = self.hold(2)
        before = chat.turns
        for ask in (chat.stream, chat.edit):
            with pytest.raises(ContextError, match=r"1021 tokens.* 1000 .* 900 .*about 121 tokens"):
                ask("x" * 1001)
        assert chat.turns is before

    def test_an_answer_always_has_room(self):
        speaker = ScriptedSpeaker(context=200)
        chat, _ = talk(speaker=speaker)  # which wants 1024 tokens and gets a quarter
        chat.send("x" * (150 - 18 - 2))
        with pytest.raises(ContextError):
            chat.send("x" * (150 - 18 - 1))


class TestFiles:
    def test_a_conversation_continues_where_it_was_saved(self, tmp_path: Path):
        chat, _ = talk("One?", "Two?", wit=0.75, system="Hm.")
        chat.save(tmp_path / "chat.json")
        other, speaker = talk("Something else")
        other.load(tmp_path / "chat.json")
        assert (other.persona, other.wit, other.system, said(other)) == (PERSONA, 0.75, "Hm.", said(chat))
        other.send("Three?")
        assert [message.content for message in speaker.asked[-1] if message.role == "user"] == [
            "One?",
            "Two?",
            "Three?",
        ]

    def test_a_persona_that_is_gone_is_named_and_nothing_changes(self, tmp_path: Path):
        chat, _ = talk("One?")
        chat.persona = replace(PERSONA, name="gone")
        chat.save(tmp_path / "chat.json")
        chat.persona = PERSONA
        with pytest.raises(NotFoundError, match="gone"):
            chat.load(tmp_path / "chat.json")
        assert said(chat) == [("One?", "Yes, indeed.")]

    def test_a_file_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(NotFoundError, match="nowhere"):
            talk()[0].load(tmp_path / "nowhere.json")


def test_a_real_engine_computes_only_what_is_new():
    engine, tokenizer = scripted_engine("So it goes."), ByteTokenizer()

    class EngineSpeaker(ScriptedSpeaker):
        def prompt_ids(self, messages: Sequence[Message], *_: object) -> list[int]:
            return [token for message in messages for token in (256, *message.content.encode(), 257)]

        def respond(
            self, prompt_ids: Sequence[int], max_tokens: int | None, sampling: Sampling, stop: Sequence[str], *_: object
        ) -> Generation:
            request = Request(tuple(prompt_ids), max_tokens, sampling, tokenizer.stop_ids)
            return Generation(engine.submit(request), tokenizer, StopStrings(stop))

    chat = Chat(EngineSpeaker(), PERSONA, temperature=0.0)
    for number in range(10):
        reply = chat.send(f"What about {number}?")
        assert reply.text == "So it goes."
    usage = reply.completion.usage
    assert usage.prompt_tokens - usage.cached_tokens < 64
    engine.check()


class Conversation(RuleBasedStateMachine):
    """Any order of operations, against the plain list that a conversation is meant to be."""

    texts = st.text("abc é", min_size=1, max_size=60).filter(str.strip)

    def __init__(self) -> None:
        super().__init__()
        self.speaker = ScriptedSpeaker(lambda asked, _: [asked[-1].content[:5], "…"], context=220)
        self.chat = Chat(self.speaker, PERSONA)
        self.expected: list[tuple[str, str | None]] = []

    def fits(self, text: str) -> bool:
        return 18 + len(text.encode()) + 2 <= 220 - 55

    @rule(text=texts)
    def send(self, text: str) -> None:
        assume(self.fits(text))
        self.chat.send(text)
        self.expected.append((text, f"{text[:5]}…"))

    @rule(text=st.text("abc", min_size=160, max_size=300))
    def send_too_much(self, text: str) -> None:
        with pytest.raises(ContextError):
            self.chat.send(text)

    @rule(text=texts, pieces=st.integers(0, 1))
    def begin(self, text: str, pieces: int) -> None:
        assume(self.fits(text))
        stream = self.chat.stream(text)
        for _ in range(pieces):
            next(stream)
        stream.close()
        self.expected.append((text, text[:5] if pieces else None))

    @rule(text=texts)
    def fail(self, text: str) -> None:
        assume(self.fits(text))
        self.speaker.failure = RuntimeError()
        with pytest.raises(RuntimeError):
            self.chat.send(text)
        self.speaker.failure = None
        self.expected.append((text, None))

    @precondition(lambda self: self.expected)
    @rule(text=texts)
    def edit(self, text: str) -> None:
        assume(self.fits(text))
        list(self.chat.edit(text))
        self.expected[-1] = (text, f"{text[:5]}…")

    @precondition(lambda self: self.expected)
    @rule()
    def retry(self) -> None:
        list(self.chat.retry())
        text = self.expected[-1][0]
        self.expected[-1] = (text, f"{text[:5]}…")

    @precondition(lambda self: self.expected)
    @rule()
    def undo(self) -> None:
        turn = self.chat.undo()
        assert turn.user == self.expected.pop()[0]

    @rule()
    def new(self) -> None:
        self.chat.new()
        self.expected.clear()

    @rule()
    def save_and_load(self) -> None:
        with TemporaryDirectory() as folder:
            self.chat.save(Path(folder) / "chat.json")
            before = self.chat.turns
            self.chat.new()
            self.chat.load(Path(folder) / "chat.json")
            assert self.chat.turns == before

    @invariant()
    def what_was_said_is_on_record(self) -> None:
        assert said(self.chat) == self.expected

    @invariant()
    def every_prompt_is_the_persona_and_the_latest_exchanges_and_fits(self) -> None:
        for prompt, asked in zip(self.speaker.prompts, self.speaker.asked, strict=True):
            assert len(prompt) <= 220 - 55
            told = PERSONA.messages(0)
            assert asked[: len(told)] == told
            rest = [message.role for message in asked[len(told) :]]
            assert rest == ["user", "assistant"] * (len(rest) // 2) + ["user"]
        self.speaker.prompts.clear()
        self.speaker.asked.clear()

    @invariant()
    def what_fell_off_stays_off_and_is_a_beginning(self) -> None:
        firsts = [turn.first for turn in self.chat.turns]
        assert firsts == sorted(firsts)
        assert all(first <= number for number, first in enumerate(firsts))


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_chat_asks_for_adapters_as_the_model_plays_its_persona(tmp_path: Path):
    class Player(ScriptedSpeaker):
        def cast(self, persona):
            return replace(persona, voices=(Voice(0, "You are the tester.", "Hello."),))

        def strengths(self, asked, persona=None, wit=None):
            return {"tester": wit if persona == "tester" else 0.0, **asked}

    speaker = Player("Yes.")
    with closing(Store(tmp_path / "chats.sqlite")) as store:
        chat = Chat(speaker, PERSONA, 0.7, kept=Kept(store))
        chat.send("Well?")
        assert speaker.adapters == {"tester": 0.7}
        assert [message.content for message in speaker.asked[-1]] == ["You are the tester.", "Well?"]
        chat.wit, chat.adapters = 0.2, {"poet": 1.0}
        reply = chat.send("And now?")
        assert speaker.adapters == {"tester": 0.2, "poet": 1.0}
        assert reply.node is not None and chat.kept is not None
        assert store.node("", chat.kept.chat, reply.node).provenance.adapters == {"tester": 0.2, "poet": 1.0}
        chat.system = "Be brief."
        chat.send("Hm?")
        assert speaker.adapters == {"tester": 0.0, "poet": 1.0}
