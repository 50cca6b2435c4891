"""Tokenizers are copied whole from wherever they are, or refused with what would be accepted."""

import json

import pytest

from gadfly.convert.tokenizer_source import tokenizer_from, vocabulary_size
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text.byte_level import byte_level_files


@pytest.fixture
def folder(tmp_path):
    for name, data in byte_level_files().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_bytes():
    files = tokenizer_from(None)
    assert files == byte_level_files() and vocabulary_size(files) == 260


def test_of_a_folder_and_of_a_file(folder):
    assert tokenizer_from(folder) == tokenizer_from(folder / "tokenizer.json") == byte_level_files()
    renamed = folder / "mine.json"
    (folder / "tokenizer.json").rename(renamed)
    assert tokenizer_from(renamed) == byte_level_files()


def test_of_nothing(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedError, match=r"no tokenizer that can be taken.*tokenizer.json.*or bytes"):
        tokenizer_from(folder)


def test_of_something_broken(folder):
    (folder / "tokenizer.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(ModelFileError, match=r"not a sound tokenizer\.json"):
        vocabulary_size(tokenizer_from(folder))
