"""Templates that mean harm: each is stopped, with a reason, before it has cost much.

The work they may do is small here, so that stopping is quick; the last test shows that it grows with the limit, not
with what a template asks for. If one of them were not stopped, the test would not end, or not have the memory to.
"""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import TemplateError
from gadfly.text import ChatTemplate

WORK = 2**17
HELLO = [{"role": "user", "content": "Hello"}]
TOO_MUCH = "does too much"

LOOPS = {
    "nested": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "filtered": "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "length": "{% for a in range(99999) %}{% for b in range(99999) %}{{ loop.length }}{% endfor %}{% endfor %}",
    "select": "{% for a in range(99999) %}{{ range(99999) | select('odd') | first }}{% endfor %}",
    "map": "{% for a in range(99999) %}{% if range(99999) | map('string') | first %}{% endif %}{% endfor %}",
    "in a range": "{% for a in range(99999) %}{% if 'a' in range(99999) %}{% endif %}{% endfor %}",
    "in a string": "{% set a = 'a' * 400000 %}{% for i in range(99999) %}{% if 'b' in a %}{% endif %}{% endfor %}",
    "attribute path": "{{ [messages[0]] * 9 | map(attribute='content.' * 99999) | list }}",
    "macro": "{% macro f(n) %}{% if n %}{% set x = f(n - 1) ~ f(n - 1) %}{% endif %}{% endmacro %}{{ f(50) }}",
    "loop": "{% for x in [1, 2] recursive %}{% if loop.depth < 40 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
    "text": "{% for i in range(99999) %}" + "x" * 999 + "{% endfor %}",
    "text of a macro": "{% macro f() %}" + "x" * 999 + "{% endmacro %}{% for i in range(99999) %}{{ f() }}{% endfor %}",
    "text of a block": "{% for i in range(99999) %}{% set x %}" + "x" * 999 + "{% endset %}{% endfor %}",
    "slices": "{% set a = 'x' * 99999 %}{% for i in range(99999) %}{% if a[1:] %}{% endif %}{% endfor %}",
    "literals": "{% for i in range(99999) %}{% if [" + "[1, 2]," * 99 + "] %}{% endif %}{% endfor %}",
}
GROWTH = {
    "string * number": "{{ 'a' * 10**12 }}",
    "number * string": "{{ 10**12 * 'a' }}",
    "list * number": "{{ [0] * 10**12 }}",
    "+": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "~": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "+ of lists": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "set block": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
    "{% set ns.x = y %}{% endfor %}",
    "indent": "{{ 'a\n' | indent(10**12) }}",
    "indent by a string": "{{ ('a\n' * 9999) | indent('x' * 9999) }}",
    "indent by name": "{{ ('a\n' * 9999) | indent(width='x' * 9999) }}",
    "join": "{{ range(9999) | join('x' * 9999) }}",
    "join by name": "{{ range(9999) | join(d='x' * 9999) }}",
    "join of the same": "{{ (['x' * 9999] * 9999) | join }}",
    "method join": "{{ ('x' * 9999).join(['a'] * 9999) }}",
    "replace": "{{ ('a' * 9999) | replace('a', 'b' * 9999) }}",
    "replace by name": "{{ ('a' * 9999) | replace(old='a', new='b' * 9999) }}",
    "replace nothing": "{{ ('a' * 9999) | replace('', 'b' * 9999) }}",
    "replace in a map": "{{ range(9999) | map('replace', '0', 'a' * 9999) | list }}",
    "method replace": "{{ ('a' * 9999).replace('a', 'b' * 9999) }}",
    "method split": "{{ ('ab ' * 99999).split() }}",
    "list": "{{ ('ab ' * 99999) | list | length }}",
    "title": "{{ ('ab ' * 99999) | title }}",
    "json": "{{ range(9999) | list | tojson(separators=('a' * 9999, ':')) }}",
    "search backwards": "{{ ('a' * 40000).rfind('b' + 'a' * 20000) }}",
    "split backwards": "{{ ('a' * 10000).rsplit('b' + 'a' * 5000) }}",
    "strip": "{{ ('a' * 30000).strip('b' * 30000 + 'a') }}",
    "trim": "{{ ('a' * 30000) | trim('b' * 30000 + 'a') }}",
    "escape": "{% set a = '&' * 150000 %}{{ a | e | length }}",
}
SHARED = {  # a list of two references to a list of two references to …: small, but endless to walk through
    name: "{% set ns = namespace(x=(1,), y=(1,)) %}{% for i in range(50) %}"
    "{% set ns.x = (ns.x, ns.x) %}{% set ns.y = (ns.y, ns.y) %}{% endfor %}" + use
    for name, use in {
        "output": "{{ ns.x }}",
        "string": "{{ ns.x | string | length }}",
        "~": "{{ ns.x ~ '' }}",
        "json": "{{ ns.x | tojson }}",
        "join": "{{ [ns.x] | join }}",
        "==": "{{ ns.x == ns.y }}",
        "in": "{{ ns.x in [ns.y] }}",
        "test": "{{ ns.x is eq(ns.y) }}",
        "test in": "{{ ns.x is in [ns.y] }}",
        "key": "{{ {ns.x: 1} | length }}",
        "get": "{{ {}.get(ns.x) }}",
        "subscript": "{{ {}[ns.x] }}",
        "index": "{{ [ns.x].index(ns.y) }}",
        "unique": "{{ [ns.x] | unique | length }}",
        "sort": "{{ [ns.x, ns.y] | sort | length }}",
        "changed": "{% for x in [ns.x, ns.y] %}{{ loop.changed(x) }}{% endfor %}",
        "replace": "{{ ns.x | replace('a', 'b') }}",
    }.items()
}


@pytest.mark.parametrize("source", [pytest.param(s, id=i) for c in (LOOPS, GROWTH, SHARED) for i, s in c.items()])
def test_too_much(source: str) -> None:
    template = ChatTemplate(source, work=WORK)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match=TOO_MUCH):
            template.render(HELLO)
        assert tracemalloc.get_traced_memory()[1] < 16 * WORK
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ range(10**9) }}", "Range too big"),
        ("{{ 9 ** (9 ** 9) }}", "a number of more than"),
        ("{{ 2 ** (2 ** 13 * 9) }}", "a number of more than"),
        ("{{ ('1' * 30000) | int(base=2) }}", "a number of more than"),
        ("{{ '%999999999d' % 1 }}", "formats a string"),
        ("{{ [[]] | tojson(indent=10**9) }}", "indents JSON"),
        ("{{ [[]] | tojson(indent=' ' * 99999) }}", "indents JSON"),
        ("{{ strftime_now('%c' * 9999) }}", "formats a date"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "too deeply"),
        ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "too deeply"),
        ("{% block b %}{{ self.b() }}{% endblock %}", "too deeply"),
        ("{% set ns = namespace(x=1) %}{% for i in range(99) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "deep"),
        ("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x | tojson }}", "not JSON serializable"),
    ],
)
def test_too_large_at_once(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        ChatTemplate(source, work=WORK).render(HELLO)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "made",
    [
        "[ns.x]",
        "(ns.x,)",
        "{1: ns.x}",
        "{1: {2: ns.x}.items()}",
        "namespace(x=ns.x)",
        "[ns.x] | map('list')",
        "cycler(ns.x)",
        "cycler(cycler(ns.x).next)",
        "joiner(ns.x)",
    ],
)
def test_long_chains_are_taken_apart_without_harm(made: str) -> None:
    chain = "{% set ns = namespace(x=[1]) %}{% for i in range(10000) %}{% set ns.x = " + made + " %}{% endfor %}"
    assert ChatTemplate(chain + "done").render(HELLO) == "done"


@pytest.mark.parametrize(
    "reach",
    [
        "''.__class__",
        "''['__class__']",
        "[''] | map(attribute='__class__') | list",
        "[''] | selectattr('__class__') | list",
        "[''] | sort(attribute='__class__')",
        "().__class__.__base__.__subclasses__()",
        "messages.__class__",
        "messages.append(1)",
        "messages[0].pop('role')",
        "messages[0].update",
        "dict.mro()",
        "dict.fromkeys('ab')",
        "cycler.__init__.__globals__",
        "joiner.__init__",
        "namespace.__init__",
        "namespace().__class__",
        "namespace()._Namespace__attrs",
        "range.__module__",
        "raise_exception.__globals__",
        "strftime_now.__code__",
        "self._TemplateReference__context",
        "self.__init__",
        "nothing._undefined_exception",
        "'{0.__class__}'.format(1)",
        "'{:999999999}'.format(1)",
        "'{a}'.format_map({})",
        "'a'.ljust(10**12)",
        "'a'.zfill(10**12)",
        "'\t'.expandtabs(10**12)",
        "'a'.translate({97: 'b'})",
        "'a'.encode()",
        "(1).to_bytes(10**12, 'big')",
        "1.5.hex()",
        "(1).real",
    ],
)
def test_reaching_is_refused(reach: str) -> None:
    with pytest.raises(TemplateError, match="reaches for the attribute"):
        ChatTemplate("{{ " + reach + " }}").render(HELLO)
    with pytest.raises(TemplateError, match="reaches for the attribute"):
        ChatTemplate("{% if (" + reach + ") is defined %}{% endif %}").render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
        "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
        "{% macro f() %}{% endmacro %}{{ f._environment }}",
        "{% macro f() %}{{ caller._func }}{% endmacro %}{% call f() %}{% endcall %}",
    ],
)
def test_reaching_out_of_loops_and_macros_is_refused(source: str) -> None:
    with pytest.raises(TemplateError, match="reaches for the attribute"):
        ChatTemplate(source).render(HELLO)


@pytest.mark.parametrize(
    "absent", ["lipsum", "environment", "context", "__builtins__", "__import__", "ticking", "open", "undefined"]
)
def test_what_is_not_there(absent: str) -> None:
    assert ChatTemplate("{{ " + absent + " is defined }}").render(HELLO) == "False"


names = st.sampled_from(
    ["messages", "ns.x", "i", "f", "loop", "range", "namespace", "dict", "cycler", "self", "none", "'a'", "99"]
)
expressions = st.recursive(
    names,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "~", "*", "**", "%", "//", "==", "in", "and", "is in"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, st.sampled_from(["x", "items", "join", "split", "index0", "__class__", "content"])).map(
            ".".join
        ),
        st.tuples(inner, inner).map(lambda two: f"{two[0]}[{two[1]}:]"),
        st.tuples(inner, inner).map(lambda two: f"{two[0]}({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"[{two[0]}, {two[1]}]"),
        st.tuples(inner, st.sampled_from(["list", "string", "tojson", "length", "join", "map('string')", "sort"])).map(
            lambda two: f"({two[0]} | {two[1]})"
        ),
    ),
    max_leaves=8,
)
statements = st.recursive(
    expressions.map(lambda e: "{{ " + e + " }}") | expressions.map(lambda e: "{% set ns.x = " + e + " %}"),
    lambda inner: st.one_of(
        st.tuples(expressions, inner).map(lambda two: "{% for i in " + two[0] + " %}" + two[1] + "{% endfor %}"),
        st.tuples(expressions, inner).map(lambda two: "{% if " + two[0] + " %}" + two[1] + "{% endif %}"),
        st.tuples(inner, inner).map("".join),
        inner.map(lambda body: "{% set x %}" + body + "{% endset %}"),
        inner.map(lambda body: "{% for i in [1, 2] recursive %}" + body + "{{ loop([i]) }}{% endfor %}"),
    ),
    max_leaves=6,
)


@settings(max_examples=50)
@given(statements)
def test_random_programs_end(body: str) -> None:
    source = "{% set ns = namespace(x='ab') %}{% macro f(i) %}" + body + "{% endmacro %}" + body
    try:
        assert isinstance(ChatTemplate(source, work=2**16).render(HELLO), str)
    except TemplateError as error:
        assert "\n" not in str(error)


@settings(max_examples=50)
@given(st.text("{}%#-+ifor'\"\\ \n|.x()[]", max_size=60))
def test_random_sources_end(source: str) -> None:
    try:
        ChatTemplate(source, work=2**16).render(HELLO)
    except TemplateError as error:
        assert "\n" not in str(error)


def test_the_limit_is_the_same_every_time() -> None:
    source = "{% for i in range(1000) %}{{ i }}{% endfor %}"
    enough = next(work for work in range(0, 99_000, 1000) if stops_at(source, work) is None)
    assert stops_at(source, enough - 1000) is not None
    assert stops_at(source, enough) is None


def stops_at(source: str, work: int) -> str | None:
    try:
        ChatTemplate(source, work=work).render(HELLO)
    except TemplateError as error:
        return str(error)
    return None
