from threading import Event

import numpy as np
import pytest

from gadfly.conversation import Grammar, JsonSchema, Regex
from gadfly.errors import RequestError
from gadfly.testing import ByteTokenizer
from gadfly.text.answer_grammar import AnswerGrammar
from gadfly.text.grammar import Grammars, TokenTable
from gadfly.text.tool_dialect import HERMES

TOKENIZER = ByteTokenizer()
END = 257


class Endless(ByteTokenizer):
    """Without a token that ends an answer."""

    def __init__(self):
        super().__init__()
        self.stop_ids = frozenset()


@pytest.fixture(scope="module")
def grammars():
    return Grammars(TOKENIZER, 260)


def written(wanted):
    return AnswerGrammar({}, HERMES).text(wanted)


def follow(held, text):
    """Advance through a text that has to be allowed; True if it is complete with that."""
    for token in TOKENIZER.encode(text):
        assert not held.forbidden()[token], f"{chr(token)!r} is forbidden in {text!r}"
        if held.advance(token):
            return True
    return False


def allowed(held):
    return set(np.flatnonzero(~held.forbidden()).tolist())


def test_only_what_the_grammar_allows_may_come_and_its_end_is_the_end(grammars):
    (held,) = grammars.constraints(written(Regex("(yes|no)")), 1)
    assert allowed(held) == {ord("y"), ord("n")}
    assert not follow(held, "ye")
    assert allowed(held) == {ord("s")}
    assert held.advance(ord("s"))


def test_a_token_that_ends_is_allowed_where_the_answer_may_end(grammars):
    (held,) = grammars.constraints(written(Regex("[ab]+")), 1)
    assert END not in allowed(held)
    assert not follow(held, "a")
    assert allowed(held) == {ord("a"), ord("b"), END}
    assert held.advance(END)


def test_without_such_a_token_only_a_grammar_that_has_no_more_ends():
    grammars = Grammars(Endless(), 258)
    (held,) = grammars.constraints(written(Regex("ab?")), 1)
    assert not follow(held, "a") and allowed(held) == {ord("b")}
    assert held.advance(ord("b"))


def test_several_constraints_go_their_own_ways(grammars):
    first, second = grammars.constraints(written(Regex("[ab][cd]")), 2)
    follow(first, "a")
    assert allowed(first) == {ord("c"), ord("d")} and allowed(second) == {ord("a"), ord("b")}


def test_tokens_that_no_tokenizer_has_never_come(grammars):
    (held,) = grammars.constraints(written(Regex("(?s:.*)")), 1)
    assert not {256, 258, 259} & allowed(held)


def test_a_token_that_may_not_come_is_an_error(grammars):
    (held,) = grammars.constraints(written(Regex("yes")), 1)
    with pytest.raises(RequestError, match="cannot be kept"):
        held.advance(ord("n"))


def test_the_table_says_the_bytes_that_it_is_asked_for():
    table = TokenTable(TOKENIZER, 258)
    for data in (b"", b"abc", "né".encode(), b"\xff\x80", b"\n a"):
        assert b"".join(table.tokens[i] for i in table(data)) == data


def test_every_kind_of_tokenizer_can_be_held_to_a_schema(tokenizer):
    """Some put a space in front of a text: not here."""
    table = TokenTable(tokenizer, tokenizer.vocab_size)
    for data in (b'{"name": "', b"a", b" a", "né".encode(), b"\xff"):
        assert b"".join(table.tokens[i] for i in table(data)) == data
    (held,) = Grammars(tokenizer, tokenizer.vocab_size).constraints(written(JsonSchema()), 1)
    for token in table(b'{"a": [1, "b"]}'):
        assert not held.forbidden()[token]
        held.advance(token)


HOSTILE = {
    "lark, deep": Grammar("start: " + "(" * 20000 + '"a"' + ")" * 20000, "lark"),
    "lark, a chain": Grammar("start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(4300)), "lark"),
    "lark, a chain to nowhere": Grammar("start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(200)), "lark"),
    "lark, doubling": Grammar("start: A0\n" + "\n".join(f"A{i}: A{i + 1} A{i + 1}" for i in range(40)), "lark"),
    "lark, what is not there": Grammar("start: x", "lark"),
    "lark, a way around": Grammar('start: %json {"allOf": []}', "lark"),
    "lark, intersections": Grammar("start: A\nA: " + " & ".join(f"/.*{i}.*x/" for i in range(100)), "lark"),
    "gbnf, deep": Grammar("root ::= " + "(" * 5000 + '"a"' + ")" * 5000),
    "gbnf, nonsense": Grammar("root := x"),
    "gbnf, empty": Grammar(""),
    "gbnf, large": Grammar('root ::= "' + "a" * 70000 + '"'),
    "regex, deep": Regex("(" * 5000 + "a" + ")" * 5000),
    "regex, wrong": Regex("(a"),
    "regex, empty": Regex(""),
    "schema, of no kind": JsonSchema({"type": "nonsense"}),
    "schema, unknown words": JsonSchema({"type": "object", "dependentSchemas": {"a": {}}}),
    "schema, of itself only": JsonSchema({"$ref": "#"}),
    "schema, many patterns": JsonSchema({"allOf": [{"type": "string", "pattern": f".*{i}.*x"} for i in range(32)]}),
    "schema, a chain to nowhere": JsonSchema(
        {"$ref": "#/$defs/0", "$defs": {str(i): {"properties": {"a": {"$ref": f"#/$defs/{i + 1}"}}} for i in range(99)}}
    ),
    "schema, a long chain": JsonSchema(
        {"$ref": "#/$defs/0", "$defs": {str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}]} for i in range(1500)}}
    ),
}


@pytest.mark.parametrize("wanted", HOSTILE.values(), ids=HOSTILE)
def test_hostile_formats_are_refused(grammars, wanted):
    with pytest.raises(RequestError) as refusal:
        grammars.constraints(written(wanted), 1)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


DEEP = {
    "references": JsonSchema(
        {
            "$ref": "#/$defs/0",
            "$defs": {str(i): {"properties": {"a": {"$ref": f"#/$defs/{i + 1}"}}} for i in range(150)} | {"150": {}},
        }
    ),
    "rules": Grammar("start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(450)) + '\nr450: "a"', "lark"),
}


@pytest.mark.parametrize("wanted", DEEP.values(), ids=DEEP)
def test_what_the_limits_let_through_has_stack_enough(grammars, wanted):
    assert grammars.constraints(written(wanted), 1)


def test_patience_has_an_end_and_others_do_not_wait_for_what_it_left(monkeypatch):
    grammars, done = Grammars(TOKENIZER, 258, patience=0.01), Event()
    with monkeypatch.context() as patched:
        patched.setattr(grammars, "_build", lambda *_: done.wait())
        with pytest.raises(RequestError, match="takes more than"):
            grammars.constraints(written(Regex("a")), 1)
    grammars._patience = 60.0
    assert grammars.constraints(written(Regex("a")), 1)
    done.set()


COSTLY = {
    "regex, large when written out": Regex("((a{1000}){1000}){1000}"),
    "schema, many properties": JsonSchema(
        {"type": "object", "properties": {f"p{i}": {"type": "string", "pattern": ".*a.{10}"} for i in range(1500)}}
    ),
    "lark, large when written out": Grammar('start: "a" b\nb: ("a"{1000}){1000}', "lark"),
}


@pytest.mark.parametrize("wanted", COSTLY.values(), ids=COSTLY)
def test_what_turns_out_too_costly_on_the_way_is_an_error_then(grammars, wanted):
    with pytest.raises(RequestError, match="cannot be kept"):
        (held,) = grammars.constraints(written(wanted), 1)
        for _ in range(300):
            held.advance(min(allowed(held) - {END}))
