"""What an answer has to look like: a JSON schema or, as extensions everywhere, a regular expression or a grammar."""

from collections.abc import Mapping
from typing import Any

from gadfly.api.fields import Fields
from gadfly.conversation import AnswerFormat, Grammar, JsonSchema, Regex
from gadfly.errors import RequestError

__all__ = ["GRAMMAR_LENGTH", "one_format", "read_extensions", "read_openai_format"]

GRAMMAR_LENGTH = 65_536  # characters, of a regular expression as well


def read_extensions(fields: Fields) -> list[AnswerFormat]:
    """`regex`, and `grammar`: GBNF, or {"syntax": "gbnf" | "lark", "definition": "..."}."""
    found: list[AnswerFormat] = []
    if "regex" in fields:
        found.append(Regex(fields.need_text("regex", GRAMMAR_LENGTH)))
    if isinstance(fields["grammar"], str):
        found.append(Grammar(fields.need_text("grammar", GRAMMAR_LENGTH)))
    elif (grammar := fields.table("grammar")) is not None:
        text = grammar.need_text("definition", GRAMMAR_LENGTH)
        found.append(Grammar(text, grammar.one_of("syntax", ("gbnf", "lark"), "gbnf")))
    return found


def read_openai_format(fields: Fields | None, schema_below: str | None) -> list[AnswerFormat]:
    """`response_format` of chat completions, `text.format` of responses, which has no `schema_below` it."""
    if fields is None:
        return []
    match fields.one_of("type", ("text", "json_object", "json_schema"), "text"):
        case "text":
            return []
        case "json_object":
            return [JsonSchema()]
    inner = fields.need_table(schema_below) if schema_below else fields
    schema: Mapping[str, Any] = inner.json("schema")
    return [JsonSchema(schema) if schema else JsonSchema()]


def one_format(found: list[AnswerFormat]) -> AnswerFormat | None:
    """The only one, or none."""
    if len(found) > 1:
        kinds = " and ".join(type(each).__name__ for each in found)
        raise RequestError(f"the answer cannot be bound by {kinds} at once; choose one")
    return found[0] if found else None
