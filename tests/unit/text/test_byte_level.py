"""The tokenizer of bytes: read by Gadfly and by the `tokenizers` library alike, whole for every text."""

import json
from pathlib import Path

import jinja2
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from gadfly.text import Tokenizer
from gadfly.text.byte_level import byte_level_files


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    for name, data in byte_level_files().items():
        (folder / name).write_bytes(data)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer(path) -> Tokenizer:
    return Tokenizer.from_file(path)


@given(text=st.text(max_size=50))
def test_a_text_is_its_bytes(tokenizer, path, text):
    assert tokenizer.encode(text) == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    theirs = tokenizers.Tokenizer.from_file(str(path))
    if "<|" not in text:
        assert theirs.encode(text).ids == list(text.encode())
        assert theirs.decode(list(text.encode())) == text


def test_control_tokens(tokenizer):
    assert tokenizer.vocab_size == 260
    assert tokenizer.encode("<|im_start|>a<|im_end|>", special=True) == [258, ord("a"), 259]
    assert len(tokenizer.encode("<|im_end|>")) == 10
    assert (
        tokenizer.token_text(tokenizer.bos) == "<|endoftext|>" and tokenizer.token_text(tokenizer.eos) == "<|im_end|>"
    )
    assert tokenizer.stop_ids == {257, 259} and not tokenizer.adds_bos


def test_the_template_is_chatml(path):
    config = json.loads(path.with_name("tokenizer_config.json").read_text())
    template = jinja2.Template(config["chat_template"])
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
