"""Which tokenizer and which template of a folder count."""

import json
from pathlib import Path
from typing import Any

import pytest

from gadfly.errors import ModelFileError
from gadfly.weights.grok2_template import GROK_2_TEMPLATE
from gadfly.weights.tokenizer_files import TokenizerFiles, find_tokenizer

BYTE_LEVEL = {"model": {"type": "BPE", "byte_fallback": False}}
PIECES = {"model": {"type": "BPE", "byte_fallback": True}}


def write(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ({}, None),
        ({"tokenizer__json": BYTE_LEVEL}, "tokenizer.json"),
        ({"tokenizer__json": PIECES}, "tokenizer.json"),
        ({"tokenizer__model": ""}, "tokenizer.model"),
        ({"tokenizer__json": BYTE_LEVEL, "tokenizer__model": ""}, "tokenizer.json"),
        ({"tokenizer__json": PIECES, "tokenizer__model": ""}, "tokenizer.model"),
        ({"tokenizer__json": {"model": {"type": "Unigram"}}, "tokenizer__model": ""}, "tokenizer.model"),
        ({"tokenizer__json": {"model": None}, "tokenizer__model": ""}, "tokenizer.model"),
        ({"tokenizer__tok__json": {}, "tokenizer__json": BYTE_LEVEL}, "tokenizer.tok.json"),
    ],
)
def test_tokenizers(tmp_path: Path, files: dict[str, Any], chosen: str | None) -> None:
    write(tmp_path, **files)
    assert find_tokenizer(str(tmp_path)).tokenizer == (tmp_path / chosen if chosen else None)


@pytest.mark.parametrize(
    ("files", "template"),
    [
        ({}, None),
        ({"tokenizer_config__json": {}}, None),
        ({"tokenizer_config__json": {"chat_template": "a"}}, "a"),
        ({"tokenizer_config__json": {"chat_template": None}, "chat_template__json": {"chat_template": "c"}}, "c"),
        (
            {
                "tokenizer_config__json": {
                    "chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
                }
            },
            "d",
        ),
        ({"tokenizer_config__json": {"chat_template": [{"name": "tools", "template": "t"}, 5]}}, None),
        ({"tokenizer_config__json": {"chat_template": "a"}, "chat_template__jinja": "{{ ü }}"}, "{{ ü }}"),
        ({"tokenizer__tok__json": {}}, GROK_2_TEMPLATE),
        ({"tokenizer__tok__json": {}, "chat_template__jinja": "x"}, "x"),
    ],
)
def test_templates(tmp_path: Path, files: dict[str, Any], template: str | None) -> None:
    write(tmp_path, **files)
    assert find_tokenizer(tmp_path).template == template


def test_nothing_there(tmp_path: Path) -> None:
    assert find_tokenizer(tmp_path / "missing") == TokenizerFiles(None, None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer_config.json", b"{", "cannot be read as JSON"),
        ("tokenizer_config.json", b"[]", "holds no JSON object"),
        ("tokenizer_config.json", b"[" * 100_000, "cannot be read as JSON"),
        ("tokenizer_config.json", b"\xff", "cannot be read as JSON"),
        ("tokenizer_config.json", b" " * (2**24 + 1), "has more than 16777216 bytes"),
        ("tokenizer_config.json", b'{"chat_template": 5}', "chat_template is a int; expected text"),
        ("tokenizer_config.json", b'{"chat_template": [{"name": "default"}, 1]}', None),
        ("chat_template.jinja", b"\xff", "is not valid UTF-8"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, message: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    if message is None:
        assert find_tokenizer(tmp_path).template is None
        return
    with pytest.raises(ModelFileError) as caught:
        find_tokenizer(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "chat_template.jinja"])
def test_links_must_stay_inside(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("{}")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ModelFileError, match="outside of the model's folder"):
        find_tokenizer(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    (tmp_path / "model" / name).mkdir()
    with pytest.raises(ModelFileError, match="is not a file"):
        find_tokenizer(tmp_path / "model")
