import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.text import ChatTemplate, Tokenizer, encode_chat
from gadfly.weights.grok2_template import GROK_2_TEMPLATE
from unit.text.test_tok_json import BYTES, SPECIALS, statement

MESSAGES = [
    {"role": "system", "content": " Be brief.\n"},
    {"role": "user", "content": "\nWhat is a gadfly? "},
    {"role": "assistant", "content": " It bites. "},
    {"role": "tool", "content": "dropped"},
    {"role": "user", "content": "Whom?"},
]


def test_as_the_servers_write_it() -> None:
    assert ChatTemplate(GROK_2_TEMPLATE).render(MESSAGES) == (
        "System: Be brief.<|separator|>\n\n"
        "Human: What is a gadfly?<|separator|>\n\n"
        "Assistant:  It bites. <|separator|>\n\n"
        "Human: Whom?<|separator|>\n\n"
        "Assistant:"
    )
    assert ChatTemplate(GROK_2_TEMPLATE).render(MESSAGES[:1], add_generation_prompt=False) == (
        "System: Be brief.<|separator|>\n\n"
    )


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("grok-2") / "tokenizer.tok.json"
    path.write_text(json.dumps(statement({byte: i + 5 for i, byte in enumerate(BYTES)})))
    return Tokenizer.from_file(Path(path))


@given(text=st.lists(st.text(st.characters(codec="utf-8")) | st.sampled_from([*SPECIALS, "<|", "|>"])).map("".join))
def test_nobody_types_a_separator(tokenizer: Tokenizer, text: str) -> None:
    ids = encode_chat(tokenizer, ChatTemplate(GROK_2_TEMPLATE), [{"role": "user", "content": text}])
    assert [i for i in ids if i < len(SPECIALS)] == [SPECIALS["<|separator|>"]]
    assert tokenizer.decode(ids) == f"Human: {text.strip()}\n\nAssistant:"
