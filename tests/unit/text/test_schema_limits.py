import pytest

from gadfly.errors import RequestError
from gadfly.text.schema_limits import DEEPEST, MOST_PARTS, check_schema


def nested(depth, leaf):
    for _ in range(depth):
        leaf = {"items": leaf}
    return leaf


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"$ref": "#"},
        {"$ref": "elsewhere.json#/x"},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string", "pattern": "x"}}},
        nested(DEEPEST - 1, {"type": "string"}),
        {"enum": [str(i) for i in range(10 * MOST_PARTS)]},
        {"type": "object", "properties": {f"p{i}": {"type": "string", "format": "date"} for i in range(100)}},
        {"anyOf": [{"pattern": str(i)} for i in range(100)]},
        {"allOf": [{"pattern": str(i)} for i in range(8)]},
    ],
)
def test_what_people_ask_for_may_be_asked(schema):
    check_schema(schema, "the schema")


PATTERN = {"type": "string", "pattern": "x"}


@pytest.mark.parametrize(
    ("schema", "match"),
    [
        ([1], "expected a JSON schema"),
        ("{}", "expected a JSON schema"),
        (nested(DEEPEST + 1, {}), "nests more than"),
        ({"properties": {str(i): {} for i in range(MOST_PARTS)}}, "more than 4000 objects"),
        ({"allOf": [{"pattern": str(i)} for i in range(9)]}, "matched at once"),
        ({"allOf": [{"properties": {"a": PATTERN}}] * 9}, "matched at once"),
        ({"allOf": [{"anyOf": [{"allOf": [PATTERN] * 3}]}] * 3}, "matched at once"),
        ({"$defs": {"a": PATTERN}, "allOf": [{"$ref": "#/$defs/a"}] * 9}, "matched at once"),
        (
            {
                "$ref": "#/$defs/0",
                "$defs": {str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}, PATTERN]} for i in range(12)},
            },
            "matched at once",
        ),
    ],
)
def test_what_would_cost_too_much_is_refused(schema, match):
    with pytest.raises(RequestError, match=match):
        check_schema(schema, "the schema")
