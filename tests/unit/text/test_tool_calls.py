import json
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadfly.conversation import TextDelta, ToolCallDelta, ToolCallStart
from gadfly.text.tool_calls import ToolCallReader
from gadfly.text.tool_dialect import ANY, HERMES, LLAMA, MISTRAL, tool_dialect

NAMES = frozenset(("f", "get_weather"))
DIALECTS = {"hermes": HERMES, "llama": LLAMA, "mistral": MISTRAL, "any": ANY}


def read(dialect, pieces, most=0, cut=False, only=False):
    """Texts, and calls as pairs of a name and arguments, neighbouring texts joined; whether it has ended."""
    ids = map(str, count())
    reader = ToolCallReader(dialect, NAMES, lambda: next(ids), most, only)
    events = [event for piece in pieces for event in reader.push(piece)] + reader.flush(cut)
    assert reader.held == 0
    found = []
    for event in events:
        match event:
            case TextDelta(text) if found and isinstance(found[-1], str):
                found[-1] += text
            case TextDelta(text):
                found.append(text)
            case ToolCallStart(index, _, name):
                assert index == sum(isinstance(one, list) for one in found)
                found.append([name, ""])
            case ToolCallDelta(index, arguments):
                assert index == sum(isinstance(one, list) for one in found) - 1 and arguments
                found[-1][1] += arguments
    assert reader.calls == sum(isinstance(one, list) for one in found)
    return found, reader.ended


WRITTEN = [
    (
        "hermes",
        'Hm.\n\n<tool_call>\n{"name": "f", "arguments": {"a": "}x\\""}}\n</tool_call>',
        ["Hm.", ["f", '{"a": "}x\\""}']],
    ),
    (
        "hermes",
        '<tool_call>{"name":"f"}</tool_call>\n<tool_call>{"name":"get_weather","arguments":{}}</tool_call> Done.',
        [["f", "{}"], ["get_weather", "{}"], "Done."],
    ),
    ("hermes", '<tool_call>{"arguments": {"b": [1, {}]}, "name": "f"}</tool_call>', [["f", '{"b": [1, {}]}']]),
    ("hermes", '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', [["f", '{"a": 1}']]),
    ("hermes", '<tool_call>{"name": "f", "arguments": {"a": no json}}</tool_call>', [["f", '{"a": no json}']]),
    ("hermes", '<tool_call>{"name": "f", "arguments": {"a": ', [["f", '{"a": ']]),
    ("hermes", '<tool_call>{"name": "f", "arguments": {}}', [["f", "{}"]]),
    (
        "hermes",
        '<tool_call>{"name": "made_up", "arguments": {}}</tool_call>',
        ['<tool_call>{"name": "made_up", "arguments": {}}</tool_call>'],
    ),
    ("hermes", "a <tool_cal <tool_call>no <<tool_call>", ["a <tool_cal <tool_call>no <<tool_call>"]),
    ("hermes", '{"name": "f", "arguments": {}}', ['{"name": "f", "arguments": {}}']),
    ("hermes", '<<tool_call>{"name": "f"}</tool_call>', ["<", ["f", "{}"]]),
    ("hermes", "  spaces stay  ", ["  spaces stay  "]),
    ("llama", '{"name": "f", "parameters": {"a": 1}}', [["f", '{"a": 1}']]),
    (
        "llama",
        ' {"name": "f", "parameters": {}}; {"name": "f", "parameters": {"a": 2}}\n',
        [["f", "{}"], ["f", '{"a": 2}']],
    ),
    ("llama", '<|python_tag|>{"type": "function", "name": "f", "parameters": {}}', [["f", "{}"]]),
    ("llama", "<|python_tag|>print(1)", ["<|python_tag|>print(1)"]),
    ("llama", '<function=f>{"a": 1}</function> Done', [["f", '{"a": 1}'], "Done"]),
    ("llama", '{"a": 1} is JSON', ['{"a": 1} is JSON']),
    ("llama", 'See {"name": "f", "parameters": {}}', ['See {"name": "f", "parameters": {}}']),
    (
        "mistral",
        '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abc"}, {"name": "get_weather", "arguments": {}}]',
        [["f", '{"a": 1}'], ["get_weather", "{}"]],
    ),
    (
        "mistral",
        '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]get_weather[CALL_ID]x1[ARGS]{}',
        [["f", '{"a": 1}'], ["get_weather", "{}"]],
    ),
    ("mistral", '[TOOL_CALLS][{"name": "f"}, {"name": "made_up"}]', [["f", "{}"], ', {"name": "made_up"}]']),
    ("mistral", "[TOOL_CALLS]made_up[ARGS]{}", ["[TOOL_CALLS]made_up[ARGS]{}"]),
    ("any", '[{"name": "f", "arguments": {}}]', [["f", "{}"]]),
    ("any", "[link](there)", ["[link](there)"]),
    ("any", '<tool_call>{"name": "f"}</tool_call>[TOOL_CALLS]f[ARGS]{}', [["f", "{}"], ["f", "{}"]]),
]


@pytest.mark.parametrize(("dialect", "text", "expected"), WRITTEN)
def test_calls_are_told_from_text_however_it_arrives(dialect, text, expected):
    whole, _ = read(DIALECTS[dialect], [text])
    assert whole == expected
    assert read(DIALECTS[dialect], text)[0] == whole, "character by character"
    for cut in range(len(text)):
        assert read(DIALECTS[dialect], [text[:cut], text[cut:]])[0] == whole


MARKS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>", "<function="]
PARTS = st.sampled_from(
    [*MARKS, '"name"', '"arguments"', '"f"', '{"name": "f", "arguments": {"a": "b"}}', *'<>[]{}":,;\\f \n']
)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@given(parts=st.lists(PARTS, max_size=20), data=st.data())
@example(parts=["<tool_call>", "{", '"arguments"', ":", "{", "}", ",", '"name"', ":", '"f"', "}"], data=None)
def test_any_cut_of_any_text_gives_the_same(dialect, parts, data):
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8))) if data else range(len(text))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    most = data.draw(st.integers(0, 2)) if data else 0
    assert read(dialect, pieces, most) == read(dialect, [text], most)


@given(text=st.text(alphabet='<tol_ca>{}[] \n"ab', max_size=60))
def test_text_without_a_call_comes_back_as_it_was(text):
    found, _ = read(HERMES, text)
    assert "".join(found) == text


@given(
    arguments=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ).map(lambda value: {"value": value}),
    dialect=st.sampled_from(sorted(DIALECTS)),
    calls=st.integers(1, 3),
    indent=st.sampled_from([None, 2]),
)
def test_arguments_of_every_kind_come_through(arguments, dialect, calls, indent):
    spoken = DIALECTS[dialect]
    text = json.dumps(arguments, indent=indent)
    call = f'{spoken.before}"f"{spoken.between}{text}{spoken.after}'
    found, _ = read(spoken, spoken.first + spoken.separator.join([call] * calls) + spoken.last)
    assert found == [["f", text]] * calls


def is_beginning(found, whole):
    """Whether each thing found is one of the whole, the last maybe less than it."""
    if not found:
        return True
    *complete, last = found
    if complete != whole[: len(complete)] or len(found) > len(whole):
        return False
    goal = whole[len(complete)]
    if isinstance(last, str) or isinstance(goal, str):
        return isinstance(goal, str) and goal.startswith(last)
    return last[0] == goal[0] and goal[1].startswith(last[1])


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("hermes", 'Hm.<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'),
        (
            "hermes",
            '<tool_call>{"arguments": {}, "name": "f"}</tool_call>\n<tool_call>{"name": "get_weather"}</tool_call>',
        ),
        ("llama", '<|python_tag|>{"type": "function", "name": "f", "parameters": {}}'),
        ("llama", '<function=f>{"a": 1}</function>'),
        ("mistral", '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "get_weather", "arguments": {}}]'),
        ("mistral", '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]get_weather[CALL_ID]x1[ARGS]{}'),
    ],
)
def test_of_a_call_that_is_cut_off_there_are_as_many_arguments_as_came_and_no_text(dialect, text):
    whole, _ = read(DIALECTS[dialect], [text])
    marks = sorted(DIALECTS[dialect].marks, key=len)
    for cut in range(len(text)):
        within_mark = any(text[:cut].endswith(mark[:size]) for mark in marks for size in range(1, len(mark)))
        found, _ = read(DIALECTS[dialect], [text[:cut]], cut=True)
        assert within_mark or is_beginning(found, whole), (text[:cut], found)
        if not text.startswith("Hm."):
            found, _ = read(DIALECTS[dialect], [text[:cut]], cut=True, only=True)
            assert is_beginning(found, whole) and not any(isinstance(one, str) for one in found)


def test_what_looks_like_a_call_and_has_no_mark_is_kept_unless_nothing_but_calls_may_come():
    assert read(LLAMA, ['{"name": "f'], cut=True)[0] == ['{"name": "f']
    assert read(LLAMA, ['{"name": "f'], cut=True, only=True)[0] == []
    assert read(HERMES, ['<tool_call>{"name": "f'])[0] == ['<tool_call>{"name": "f'], "the model ended it so"


def test_no_more_than_wanted():
    text = '<tool_call>{"name": "f"}</tool_call>' * 2
    assert read(HERMES, [text], most=1) == ([["f", "{}"]], True)


@pytest.mark.parametrize(
    ("source", "controls", "dialect"),
    [
        ("{{ '<tool_call>' }}", (), HERMES),
        ("{% if m.tool_calls %}[TOOL_CALLS]{% endif %}", (), MISTRAL),
        ("", ("[TOOL_CALLS]",), MISTRAL),
        ("<|python_tag|>", (), LLAMA),
        ('"parameters"', ("<|python_tag|>",), LLAMA),
        ("", (), ANY),
    ],
)
def test_the_dialect_is_read_from_template_and_vocabulary(source, controls, dialect):
    assert tool_dialect(source, frozenset(controls)) is dialect
