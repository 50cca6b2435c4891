from collections.abc import Sequence
from threading import Thread

import numpy as np
import pytest

from gadfly.answer import Answerer, Prompts
from gadfly.chat.persona import load_persona
from gadfly.completion import Sampling
from gadfly.conversation import (
    ChatRequest,
    Finished,
    Message,
    ReasoningDelta,
    Regex,
    TextDelta,
    TextRequest,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
)
from gadfly.engine import Engine
from gadfly.errors import ContextError, RequestError, UnsupportedError
from gadfly.testing import ByteTokenizer, ScriptedModel, noise, scripted_engine
from gadfly.text import ChatTemplate

TOKENIZER = ByteTokenizer()
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
WEATHER = Tool("weather", "how it is", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def answerer(reply: str = "Well.", template: str | None = CHATML, context: int = 4096) -> Answerer:
    written = ChatTemplate(template) if template is not None else None
    return Answerer(scripted_engine(reply, context), Prompts("model", TOKENIZER, written))


def random_answerer(context: int = 256) -> Answerer:
    model = ScriptedModel(noise(258), 258, context // 16, 16)
    return Answerer(Engine(model.step, 258, context, context // 16, 16, 40), Prompts("model", TOKENIZER, None))


def asked(text: str = "Hi", **options) -> ChatRequest:
    return ChatRequest((Message("user", text),), **options)


def text_of(events: Sequence[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_an_answer_is_text_and_an_end():
    *deltas, end = answerer("Grüße.").answer(asked())
    assert text_of(deltas) == "Grüße."
    assert isinstance(end, Finished) and end.reason == "stop"
    assert end.usage.completion_tokens == len("Grüße.".encode())


def test_events_can_be_taken_without_waiting_while_another_thread_computes():
    made = answerer("Hello there.")
    events, heard = [], []
    (choice,) = made.answer(asked(), heard.append, client="ann", seconds=60.0).choices
    assert choice.take() == []
    thread = Thread(target=made._engine.run)
    thread.start()
    made._engine.drain()
    thread.join()
    while not choice.finished:
        events += choice.take()
    assert text_of(events) == "Hello there." and len(heard) > len("Hello there.")


def test_a_cancelled_answer_still_ends():
    answer = answerer("word " * 50).answer(asked())
    events = iter(answer)
    next(events)
    answer.cancel()
    *_, end = events
    assert end.reason == "cancelled"


def test_a_stop_string_ends_the_answer():
    *deltas, end = answerer("one two three").answer(asked(stop=("two",)))
    assert text_of(deltas) == "one " and end.stop == "two" and end.reason == "stop"


def test_calls_of_tools_are_events_and_their_results_are_told():
    made = answerer(f"One moment. {CALL}")
    *events, end = made.answer(asked(tools=(WEATHER,)))
    start = next(event for event in events if isinstance(event, ToolCallStart))
    arguments = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
    assert (text_of(events), start.name, arguments) == ("One moment.", "weather", '{"city": "Rome"}')
    assert end.reason == "tool_calls" and start.id.isalnum() and len(start.id) == 9


@pytest.mark.parametrize("required", [False, True])
def test_a_call_that_max_tokens_cut_off_is_no_text(required):
    request = asked(tools=(WEATHER,), tool_choice=ToolChoice("required" if required else "auto"), max_tokens=20)
    *events, end = answerer(CALL).answer(request)
    assert events == [] and end.reason == "length" and end.usage.completion_tokens == 20


def test_without_tools_or_with_none_wanted_a_call_is_text():
    for request in (asked(), asked(tools=(WEATHER,), tool_choice=ToolChoice("none"))):
        assert text_of(list(answerer(CALL).answer(request))) == CALL


def test_one_call_at_a_time():
    request = asked(tools=(WEATHER,), tool_choice=ToolChoice(parallel=False))
    events = list(answerer(f"{CALL}\n{CALL}").answer(request))
    assert sum(isinstance(event, ToolCallStart) for event in events) == 1 and events[-1].reason == "tool_calls"


@pytest.mark.parametrize("begun", [False, True])
def test_thoughts_are_told_apart_also_those_that_the_template_has_begun(begun):
    template = CHATML + ("<think>\n" if begun else "{# <think> </think> #}")
    reply = "I think.\n</think>\n\nI am." if begun else "<think>I think.</think>I am."
    events = list(answerer(reply, template).answer(asked()))
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "I think."
    assert text_of(events) == "I am."


def test_a_persona_speaks_first_and_brings_its_manners():
    made = answerer()
    prompt = "".join(map(chr, made.answer(asked(persona="gadfly", wit=1.0)).choices[0]._handle.prompt))
    assert load_persona("gadfly").voice(1.0).system.split()[0] in prompt
    with_own = ChatRequest((Message("system", "Speak Latin."), Message("user", "Hi")), wit=0.0)
    prompt = TOKENIZER.decode(made.answer(with_own).choices[0]._handle.prompt)
    assert load_persona("gadfly").voice(0.0).system in prompt and "\n\nSpeak Latin." in prompt


def test_choices_differ_by_seed_and_one_alone_is_the_first():
    made = random_answerer()
    several = made.answer(asked(n=3, max_tokens=9, sampling=Sampling(seed=5), logprobs=0))

    def ids(choice):
        return [one.id for event in choice if isinstance(event, TextDelta) for one in event.logprobs]

    first, second, third = map(ids, several.choices)
    assert first != second != third
    assert [first] == [ids(made.answer(asked(max_tokens=9, sampling=Sampling(seed=5), logprobs=0)).choices[0])]
    assert [third] == [ids(made.answer(asked(max_tokens=9, sampling=Sampling(seed=7), logprobs=0)).choices[0])]


def test_a_base_model_answers_in_a_transcript():
    assert text_of(list(answerer("Sure.\nUser: more", template=None).answer(asked()))) == "Sure."


GREEDY = Sampling(temperature=0)


def test_an_answer_keeps_its_format_whatever_the_model_would_say():
    made = answerer("Well, that depends.")
    *deltas, end = made.answer(asked(format=Regex("yes|no"), sampling=GREEDY, n=1))
    assert text_of(deltas) == "no" and end.reason == "stop"
    *deltas, end = made.complete(TextRequest("Is it?", format=Regex("yes|no"), sampling=GREEDY, n=2))
    assert text_of(deltas) == "nono"


def test_a_stop_string_wins_over_a_format():
    *deltas, end = answerer().answer(asked(format=Regex("a-b"), stop=("-",)))
    assert text_of(deltas) == "a" and (end.reason, end.stop) == ("stop", "-")


def test_what_has_to_be_called_is_called():
    choice = ToolChoice("required", name="now", parallel=False)
    *events, end = answerer("I will not.").answer(asked(tools=(WEATHER, Tool("now")), tool_choice=choice))
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["now"]
    assert "".join(event.arguments for event in events if isinstance(event, ToolCallDelta)) == "{}"
    assert end.reason == "tool_calls"


@pytest.mark.parametrize("template", [CHATML, CHATML + "<think>{{ '\\n' }}", None])
def test_an_answer_goes_on_from_a_text(template):
    made = answerer(" horse.", template)
    (choice,) = made.answer(asked(prefix="The wooden")).choices
    assert text_of(list(choice)) == " horse."
    written = TOKENIZER.decode(choice.prompt)
    assert written.endswith("The wooden")
    assert ("<think>\n\n</think>\n\nThe wooden" in written) == (template is not None and "<think>" in template)


def test_a_format_holds_behind_a_thought():
    template = CHATML + "<think>\n"
    events = list(answerer("Hm.</think>\n\nMaybe.", template).answer(asked(format=Regex("yes|no"), sampling=GREEDY)))
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Hm."
    assert text_of(events) == "no" and events[-1].reasoning_tokens > 0


def test_text_is_continued_as_it_is():
    *deltas, end = answerer(" of Italy is Rome").complete(TextRequest("The capital", max_tokens=9))
    assert text_of(deltas) == " of Italy" and end.reason == "length" and end.usage.prompt_tokens == 11


def test_an_echo_says_how_likely_the_prompt_was():
    made = random_answerer()
    prompt = "Why are there so many things?" * 3
    first, *_ = made.complete(TextRequest(prompt, max_tokens=3, echo=True, logprobs=2))
    assert first.text == prompt
    predict = noise(258)
    ids = TOKENIZER.encode(prompt)
    for i, one in enumerate(first.logprobs):
        assert one.id == ids[i]
        if i == 0:
            assert one.logprob is None and one.top == ()
            continue
        logits = predict(ids[:i]).astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum())
        assert one.logprob == pytest.approx(expected[ids[i]], abs=1e-5)
        assert [other.id for other in one.top] == np.argsort(-expected, kind="stable")[:2].tolist()
    again, *_ = made.complete(TextRequest(prompt, max_tokens=3, echo=True, logprobs=2))
    assert again == first, "what is cached has no logits, so it is computed again"


def test_an_echo_may_be_all_there_is():
    first, end = random_answerer().complete(TextRequest("abc", max_tokens=0, echo=True, logprobs=0))
    assert first.text == "abc" and [one.text for one in first.logprobs] == ["a", "b", "c"]
    assert end.reason == "length" and end.usage.completion_tokens == 0


def test_what_does_not_fit_is_refused_with_numbers_or_cut():
    made = answerer("ok", context=200)
    long = [Message("user" if i % 2 == 0 else "assistant", f"{i} " * 20) for i in range(9)]
    request = ChatRequest((Message("system", "Be brief."), *long))
    with pytest.raises(ContextError, match=r"takes \d+ tokens, but the context holds 200 .* shorten it by \d+"):
        made.answer(request)
    answer = made.answer(ChatRequest(request.messages, truncate=True))
    *_, end = answer
    assert end.dropped == 8 and end.usage.prompt_tokens < 200
    with pytest.raises(ContextError, match="last exchange alone"):
        made.answer(asked("x" * 300, truncate=True))
    with pytest.raises(ContextError, match="300 tokens"):
        made.complete(TextRequest("x" * 300))
    *_, end = made.complete(TextRequest("x" * 300, truncate=True, max_tokens=20))
    assert (end.dropped, end.usage.prompt_tokens) == (120, 180)


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        (asked(n=0), "n is 0"),
        (asked(n=1000), "from 1 to 128"),
        (asked(logprobs=21), "logprobs is 21"),
        (asked(adapters={"wit": 1.0}), "no adapter 'wit'"),
        (ChatRequest(()), "no messages"),
        (asked(wit=2.0), "wit is 2.0"),
        (asked(template_variables={"tools": 1}), "'tools'"),
        (asked(stop=("",)), "stop string is empty"),
        (asked(tool_choice=ToolChoice("required")), "the request has none"),
        (asked(tools=(WEATHER,), tool_choice=ToolChoice("required", name="now")), "'now' is to be called"),
        (asked(tools=(WEATHER,) * 129), "129 tools"),
        (asked(format=Regex("(")), "format cannot be kept"),
    ],
)
def test_what_cannot_be_done_is_refused(request_, match):
    with pytest.raises(RequestError, match=match):
        answerer().answer(request_)


def test_a_model_without_a_tokenizer_continues_ids():
    model = Answerer(scripted_engine("abc"), Prompts("ids.gguf", None, None))
    with pytest.raises(UnsupportedError, match=r"ids\.gguf has no tokenizer"):
        model.answer(asked())
    with pytest.raises(RequestError, match="token ids"):
        model.complete(TextRequest("text"))
    *deltas, _ = model.complete(TextRequest((1, 2), max_tokens=3, logprobs=0, sampling=Sampling(temperature=0)))
    assert [one.id for event in deltas for one in event.logprobs] == [97, 98, 99]


def test_what_fails_is_raised_after_what_came_before():
    class Failing:
        steps = 0

        def step(self, batch):
            self.steps += 1
            if self.steps == 3:
                raise RequestError("broken")
            logits = np.zeros((len(batch.rows), 258), np.float32)
            logits[:, 97] = 9
            return logits

    made = Answerer(Engine(Failing().step, 258, 64, 4, 16), Prompts("model", TOKENIZER, None))
    (choice,) = made.complete(TextRequest("x", sampling=Sampling(temperature=0))).choices
    seen = []
    with pytest.raises(RequestError, match="broken"):
        seen.extend(choice)
    assert choice.finished and choice.take() == []


def test_what_came_together_is_one_event():
    made = answerer(f"<think>Well, well.</think>Hello there.{CALL}", template=CHATML + "<think> <tool_call>")
    (choice,) = made.answer(asked(tools=(WEATHER,))).choices
    while made._engine.step():
        pass
    events = choice.take()
    assert [type(event) for event in events] == [ReasoningDelta, TextDelta, ToolCallStart, ToolCallDelta, Finished]
    assert text_of(events) == "Hello there."
