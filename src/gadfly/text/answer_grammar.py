"""The grammar of an answer, in llguidance's form: what a request wants of its format, and how tools may be called.

    JSON schema   one line, as `json.dumps` writes it: small models lose themselves in free blank space
    regex, GBNF   translated; Lark is taken as it is, without the parts that would lead around the limits here
    calls         in the dialect of the model, arguments by the schema of each tool; thoughts may come before

How it is kept: `gadfly.text.grammar`. The library is imported when it is needed: it takes 20 ms, and most answers are
free.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gadfly.conversation import AnswerFormat, Grammar, JsonSchema, Regex, Tool
from gadfly.errors import RequestError
from gadfly.text.schema_limits import check_schema
from gadfly.text.tool_dialect import ToolDialect

__all__ = ["AnswerGrammar"]

LONGEST = 2**16  # characters, of a grammar or a pattern
MOST_LINES = 500  # a mistake at the end of a chain of rules is reported in a time like the square of its length
MOST_INTERSECTIONS = 8
COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
BLANK = r"/[ \n\r\t]{0,8}/"  # between a thought and what follows it


class AnswerGrammar:
    """Writes grammars for a model with these `controls`, which calls tools in `dialect`, thinks in `thought`."""

    def __init__(
        self, controls: Mapping[str, int], dialect: ToolDialect, thought: tuple[str, str] | None = None
    ) -> None:
        self._controls = controls
        self._dialect = dialect
        self._thought = thought

    def text(
        self,
        format: AnswerFormat | None = None,  # noqa: A002
        tools: Sequence[Tool] = (),
        required: bool = False,
        parallel: bool = True,
        thinking: bool = False,
    ) -> str | None:
        """The grammar, or None if any text will do.

        With `tools`, they may be called instead of an answer in `format`, or have to be if `required`. Without a format
        an answer that need not call any is free, unless a tool is strict: then its calls are held to its schema.
        `thinking` says that the prompt ends within a thought. Raises RequestError for what is too large.
        """
        strict = any(tool.strict for tool in tools) and not self._dialect.bare
        if format is None and not required and not strict:
            return None
        rules: list[str] = []
        sides: list[dict[str, Any]] = []
        bodies: list[str] = []
        if tools and format is None and not required:
            bodies.append(self._free(tools, parallel, rules))
        elif tools:
            bodies.append(self._calls(tools, parallel, rules))
        if format is not None and not required:
            rules.append(f"format: {_format(format, sides)}")
            bodies.append("format")
        rules.append(f"body: {' | '.join(bodies)}")
        rules.insert(0, f"start: {self._led(rules, thinking)}")
        lark = "%llguidance {}\n" + "\n".join(rules) + "\n"
        return json.dumps({"grammars": [{"name": "answer", "lark_grammar": lark}, *sides]})

    def _led(self, rules: list[str], thinking: bool) -> str:
        """The body, behind a thought if there is one."""
        if self._thought is None:
            return "body"
        opening, closing = self._thought
        if closing in self._controls:
            rules.append(f"inner: /(?s:.*)/ {self._literal(closing)}")
        else:
            rules.append(f"inner[stop={json.dumps(closing)}]: /(?s:.*)/")
        if thinking:
            return f"inner {BLANK} body"
        return f"({BLANK} {self._literal(opening)} inner {BLANK})? body"

    def _calls(self, tools: Sequence[Tool], parallel: bool, rules: list[str]) -> str:
        """Nothing but calls, one at least."""
        dialect = self._dialect
        names = self._tool_rules(tools, dialect.before, rules)
        rules.append(f"call: {' | '.join(names)}")
        more = f"({self._literal(dialect.separator)} call)*" if parallel else ""
        rules.append(f"calls: {self._literal(dialect.first)} call {more} {self._literal(dialect.last)}")
        return "calls"

    def _free(self, tools: Sequence[Tool], parallel: bool, rules: list[str]) -> str:
        """Any text, but where a call begins it is one."""
        dialect = self._dialect
        mark = next(iter(dialect.marks))
        written = dialect.first + dialect.before
        names = self._tool_rules(tools, written.removeprefix(mark), rules)
        rules.append("free: /(?s:.*)/")
        if mark in self._controls:
            rules.append(f"lead: /(?s:.*)/ {self._literal(mark)}")
        else:
            rules.append(f"lead[lazy]: /(?s:.*)/ {json.dumps(mark)}")
        rules.append(f"led: lead ({' | '.join(names)}) {self._literal(dialect.last)}")
        return "led* free" if parallel else "led | free"

    def _tool_rules(self, tools: Sequence[Tool], before: str, rules: list[str]) -> list[str]:
        names = []
        for number, tool in enumerate(tools):
            schema = dict(tool.parameters) or NO_ARGUMENTS
            check_schema(schema, f"the parameters of the tool {tool.name!r}")
            options = COMPACT if tool.strict else {**COMPACT, "lenient": True}
            rules.append(f"arguments_{number}: %json {json.dumps({**schema, 'x-guidance': options})}")
            head = self._literal(f"{before}{json.dumps(tool.name)}{self._dialect.between}")
            rules.append(f"tool_{number}: {head} arguments_{number} {self._literal(self._dialect.after)}")
            names.append(f"tool_{number}")
        return names

    def _literal(self, text: str) -> str:
        """A text in which marks that are control tokens stand for these."""
        parts: list[str] = []
        while text:
            at = {text.find(mark): mark for mark in self._controls if mark in text}
            first = min(at, default=len(text))
            if text[:first]:
                parts.append(json.dumps(text[:first], ensure_ascii=False))
            if at:
                parts.append(f"<[{self._controls[at[first]]}]>")
                first += len(at[first])
            text = text[first:]
        return " ".join(parts) or '""'


def _format(wanted: AnswerFormat, sides: list[dict[str, Any]]) -> str:
    """What stands for a format in a rule; a whole grammar becomes one of `sides`."""
    match wanted:
        case JsonSchema(schema):
            check_schema(schema, "the schema")
            return f"%json {json.dumps({**schema, 'x-guidance': COMPACT})}"
        case Regex(pattern):
            from llguidance import regex_to_lark

            _measure(pattern, "the pattern")
            return f"/{regex_to_lark(pattern, use_ascii='')}/"
        case Grammar(text, language):
            _measure(text, "the grammar")
            sides.append({"name": "given", "lark_grammar": _from_gbnf(text) if language == "gbnf" else _checked(text)})
            return "@given"


def _measure(text: str, name: str) -> None:
    if not text:
        raise RequestError(f"{name} is empty")
    if len(text) > LONGEST:
        raise RequestError(f"{name} has {len(text)} characters; at most {LONGEST} are read")
    if text.count("\n") > MOST_LINES:
        raise RequestError(f"{name} has more than {MOST_LINES} lines; ask for something simpler")


def _checked(lark: str) -> str:
    for directive in ("%json", "%lark", "%llguidance", "%import"):
        if directive in lark:
            raise RequestError(f"the grammar uses {directive}, which is not taken here; write it as rules")
    if lark.count("&") > MOST_INTERSECTIONS:
        raise RequestError(f"the grammar has more than {MOST_INTERSECTIONS} intersections; use fewer")
    return lark


def _from_gbnf(text: str) -> str:
    from llguidance.gbnf_to_lark import gbnf_to_lark

    try:
        return str(gbnf_to_lark(text))
    except RecursionError:
        raise RequestError("the grammar nests too deeply; use more rules") from None
    except Exception as error:  # the converter has several, of no common kind
        raise RequestError(f"the grammar is no GBNF: {' '.join(str(error).split())[:200]}") from None
