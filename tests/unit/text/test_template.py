import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gadfly.errors import RequestError, TemplateError
from gadfly.text import ChatTemplate

GOLDEN = Path(__file__).parents[2] / "data" / "smollm2-exact.json"
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello"}]


def render(source: str, messages: Any = HELLO, **variables: Any) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages, **variables)


def test_golden_prompts_of_smollm2() -> None:
    template = ChatTemplate(SMOLLM2)
    for prompt in json.loads(GOLDEN.read_text())["prompts"]:
        assert template.render(prompt["messages"]) == prompt["rendered"]
    assert template.render(HELLO).removesuffix("<|im_start|>assistant\n") == template.render(HELLO, False)


def test_variables() -> None:
    assert render("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}") == "<s>Hello</s>"
    assert render("{{ tools is none }} {{ documents }} {{ add_generation_prompt }} {{ more is defined }}") == (
        "True None True False"
    )
    assert render("{{ tools[0].name }} {{ more }}", tools=[{"name": "bite"}], more=(1, 2.5)) == "bite [1, 2.5]"
    assert ChatTemplate("{{ bos_token }}").render([], bos_token="other") == "other"


LANGUAGE = [
    ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),  # trim_blocks, lstrip_blocks
    (
        "{% for i in 'abc' %}{% if i == 'a' %}{% continue %}{% endif %}{{ i }}{% break %}{% endfor %}",
        "b",
    ),
    ("{{ {'b': '<é>', 'a': [1, none]} | tojson }}", '{"b": "<é>", "a": [1, null]}'),
    ("{{ [1, {'a': 2}] | tojson(indent=2) }}", '[\n  1,\n  {\n    "a": 2\n  }\n]'),
    ("{{ {'b': 'é'} | tojson(ensure_ascii=true, separators=(',', ':')) }}", '{"b":"\\u00e9"}'),
    ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", '{"a": 2, "b": 1}'),
    ("{% generation %}{{ messages[0]['content'] }}{% endgeneration %}!", "Hello!"),
    ("{% set ns = namespace(n=0) %}{% for i in 'ab' %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
    ("{{ namespace(a=1) }}", "<namespace>"),
    ("{% macro f(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ f(1) }}{{ f(1, 3, 4) }}", "12()13(4,)"),
    ("{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}x{% endcall %}", "<x>"),
    ("{% filter upper %}ab{% endfilter %}{% set x %}c{{ 1 }}{% endset %}{{ x }}", "ABc1"),
    ("{% block b %}x{% endblock %}{{ self.b() }}", "xx"),
    ("{% for x in [1, [2, [3]]] recursive %}{{ x if x is number else loop(x) }}{% endfor %}", "123"),
    ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{{ loop.last }}{{ loop.length }}{% endfor %}", "a1True1"),
    ("{% for x in [] %}{% else %}none{% endfor %}{% for x in [1, 2, 3] if x is odd %}{{ x }}{% endfor %}", "none13"),
    ("{{ 'a' ~ 1 ~ none }}{{ 'abc'[1:] }}{{ [1, 2, 3][::-1] }}", "a1Nonebc[3, 2, 1]"),
    ("{{ 1 < 2 < 3 }}{{ 'b' in 'abc' }}{{ 2 not in (1, 2) }}", "TrueTrueFalse"),
    ("{{ ' x '.strip().upper() }}{{ 'a,b'.split(',') | join('-') }}{{ 'aXb' | replace('X', '+') }}", "Xa-ba+b"),
    ("{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}", "['Hello']"),
    ("{{ [3, 1, 1] | unique | sort | first }}{{ {'a': 1} | items | list }}", "1[('a', 1)]"),
    ("{{ 'a\nb' | indent(2) }}{{ 'a b' | title }}{{ x | default('d') }}{{ [1, 2] | length }}", "a\n  bA Bd2"),
    ("{{ 2 ** 3 + 7 // 2 - 1 % 2 }}{{ -1 | abs }}{{ '3' | int + 1 }}{{ 'ab' * 2 }}{{ [1] + [2] }}", "1014abab[1, 2]"),
    ("{{ x is defined }}{{ messages[5] is defined }}{{ messages[0].name is none }}", "FalseFalseFalse"),
    ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba"),
    ("{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ dict(a=1) }}", "|{'a': 1}"),
]


@pytest.mark.parametrize(("source", "expected"), LANGUAGE)
def test_the_language(source: str, expected: str) -> None:
    assert render(source) == expected


def test_dates() -> None:
    assert re.fullmatch(r"\d\d \w{3} \d{4}", render("{{ strftime_now('%d %b %Y') }}"))


def test_a_template_can_refuse() -> None:
    with pytest.raises(TemplateError, match="refuses the conversation: roles must alternate"):
        render("{{ raise_exception('roles\n must alternate') }}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% if %}", "wrong in line 2"),
        ("{% endfor %}", "wrong in line 1"),
        ("{% unknown %}", "unknown tag"),
        ("{{ 'a' | center(9) }}", "No filter named 'center'"),
        ("{% include 'x' %}", "Include is not supported"),
        ("{% import 'x' as x %}", "Import is not supported"),
        ("{% from 'x' import x %}", "FromImport is not supported"),
        ("{% extends 'x' %}", "Extends is not supported"),
        ("{% autoescape true %}{% endautoescape %}", "ScopedEvalContextModifier is not supported"),
        ("{{ f(*x) }}", "star are not supported"),
        ("{{ f(**x) }}", "star are not supported"),
        ("{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}", "too deeply"),
        ("{{ a" + ".b" * 9999 + " }}", "too deeply"),
        ("{% if 1 %}" * 9999, "too deeply"),
        ("x" * (2**17 + 1), "131073 characters"),
    ],
)
def test_sources_that_are_none(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        ChatTemplate(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_failures_are_one_line() -> None:
    for source in ("{{ x.y }}", "{{ 1 / 0 }}", "{{ messages[0].content + 1 }}", "{{ [] | tojson(1, 2, 3, 4, 5, 6) }}"):
        with pytest.raises(TemplateError, match=r"^the chat template failed: [^\n]+$"):
            render(source)


def test_what_goes_in_is_plain() -> None:
    nested: Any = []
    for _ in range(100):
        nested = [nested]
    for messages in ([{"role": "user", "content": b"bytes"}], [{"content": object()}], [{"content": nested}]):
        with pytest.raises(RequestError, match="messages"):
            render("{{ messages }}", messages)
    with pytest.raises(RequestError, match="tools holds a builtin_function_or_method"):
        render("", tools=[print])


def test_messages_stay_as_they_are() -> None:
    messages = [{"role": "user", "content": ["a"]}]
    with pytest.raises(TemplateError):
        render("{{ messages.append(1) }}", messages)
    with pytest.raises(TemplateError):
        render("{{ messages[0].content.append(1) }}", messages)
    assert messages == [{"role": "user", "content": ["a"]}]


def test_long_conversations_are_fine() -> None:
    messages = [{"role": "user" if i % 2 else "assistant", "content": "x" * 2000} for i in range(1000)]
    assert len(ChatTemplate(SMOLLM2).render(messages)) > 2_000_000


def test_output_is_limited() -> None:
    with pytest.raises(TemplateError, match="wrote 9000000 characters"):
        render("{{ messages[0].content }}" * 9, [{"role": "user", "content": "x" * 1_000_000}])


def test_renderings_leave_nothing_behind() -> None:
    """Nothing that would have to be looked for, nor work that the next ones lack."""
    template = ChatTemplate(SMOLLM2, work=2**13)
    template.render(HELLO)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            template.render(HELLO)
        with pytest.raises(TemplateError, match="does too much"):
            template.render(HELLO * 1000)
        template.render(HELLO)
        assert gc.collect() < 10
    finally:
        gc.enable()
