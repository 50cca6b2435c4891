import json

from gadfly.conversation import Message, Tool, ToolCall
from gadfly.testing import ByteTokenizer
from gadfly.text import ChatTemplate, encode_chat
from gadfly.text.tool_prompt import in_words, template_message, template_tool

WEATHER = Tool("weather", "how it is", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall("abc", "weather", '{"city": "Köln"}')
TALK = (
    Message("user", "How is it in Köln?"),
    Message("assistant", "One moment.", tool_calls=(CALL,)),
    Message("tool", '{"rain": true}', tool_call_id="abc", name="weather"),
)


def test_templates_see_what_transformers_would_show_them():
    assert template_tool(WEATHER) == {
        "type": "function",
        "function": {"name": "weather", "description": "how it is", "parameters": WEATHER.parameters},
    }
    assert template_tool(Tool("now"))["function"]["parameters"] == {"type": "object", "properties": {}}
    _, called, told = map(template_message, TALK)
    assert called["tool_calls"] == [
        {"id": "abc", "type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}
    ]
    assert told == {"role": "tool", "content": '{"rain": true}', "tool_call_id": "abc", "name": "weather"}
    assert template_message(Message("assistant", "a", reasoning="b"))["reasoning_content"] == "b"


def test_arguments_that_are_no_object_stay_as_they_were_written():
    for arguments in ("{no json", "[1]", "[" * 100_000):
        (call,) = template_message(Message("assistant", "", tool_calls=(ToolCall("1", "f", arguments),)))["tool_calls"]
        assert call["function"]["arguments"] == arguments
    (call,) = template_message(Message("assistant", "", tool_calls=(ToolCall("1", "f", ""),)))["tool_calls"]
    assert call["function"]["arguments"] == {}


def test_a_template_that_knows_no_tools_is_told_of_them_in_words():
    system, asked, called, told = in_words(TALK, (WEATHER,))
    assert system.role == "system" and json.dumps(WEATHER.parameters) in system.content
    assert asked == TALK[0]
    assert (
        called.content == 'One moment.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
    )
    assert told == Message("user", '<tool_response>\n{"rain": true}\n</tool_response>')
    first, *_ = in_words((Message("system", "Be brief."), *TALK), (WEATHER,))
    assert first.content.startswith("Be brief.\n\nYou may call tools.")
    assert in_words(TALK[:1], ()) == list(TALK[:1])


def test_a_template_is_known_by_the_variables_it_reads():
    assert ChatTemplate("{% if tools %}{{ tools | tojson }}{% endif %}").knows_tools
    assert ChatTemplate("{% if tools is defined and tools is not none %}x{% endif %}").knows_tools
    assert not ChatTemplate("{% for tools in messages %}{{ tools }}{% endfor %}").knows_tools
    template = ChatTemplate("{% for tool in tools %}{{ tool.function.name }}{% endfor %}")
    ids = encode_chat(ByteTokenizer(), template, [], tools=[template_tool(WEATHER)])
    assert bytes(ids) == b"weather"
