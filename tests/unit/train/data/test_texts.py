"""Plain texts: every token is learnt once, and whatever else is in the files is a problem."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.answer import Prompts
from gadfly.errors import NotFoundError, UnsupportedError
from gadfly.lines import Problem
from gadfly.testing import ByteTokenizer
from gadfly.train.data.texts import Document, pieces, read_documents, text_files

PROMPTS = Prompts("tiny", ByteTokenizer(), None)


@given(st.text(min_size=1, max_size=200), st.integers(8, 40))
def test_every_token_is_learnt_once(text: str, longest: int) -> None:
    cut = list(pieces(Document(text, 2.0), PROMPTS, longest))
    assert all(1 < len(piece) <= longest and piece.weight == 2.0 for piece in cut)
    learnt = np.concatenate([piece.ids[piece.learnt] for piece in cut]).tolist()
    assert [cut[0].ids[0], *learnt] == [*text.encode(), 257]  # the end of a text last
    for one, following in pairwise(cut):
        assert following.ids[0] == one.ids[-1]


def test_files_are_documents_and_lines_are(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Flies\n\nThey bite.")
    (tmp_path / "b.txt").write_bytes(b"fine\n\xff\n")
    (tmp_path / "c.txt").write_text(" \n")
    lines = [json.dumps({"text": "One."}), "{", json.dumps({"text": ""}), json.dumps({"text": "Two.", "weight": 3})]
    (tmp_path / "d.jsonl").write_text("\n".join([*lines, json.dumps({"text": "x", "weight": -1})]))
    found = {path.name: list(read_documents(path)) for path in text_files(tmp_path)}
    assert found["a.md"] == [Document("# Flies\n\nThey bite.", line=1)]
    (damaged,) = found["b.txt"]
    assert isinstance(damaged, Problem) and damaged.line == 2 and "not UTF-8" in damaged.text
    (empty,) = found["c.txt"]
    assert isinstance(empty, Problem) and "no text" in empty.text
    assert [one.text for one in found["d.jsonl"] if isinstance(one, Document)] == ["One.", "Two."]
    assert [one.line for one in found["d.jsonl"]] == [1, 2, 3, 4, 5]


def test_what_is_to_judge_by_is_not_learnt(tmp_path: Path) -> None:
    for name in ("a.txt", "deep/b.md", "valid.txt", "valid/c.txt", ".git/d.txt", "picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in text_files(tmp_path)] == ["a.txt", "b.md"]
    assert [path.name for path in text_files(tmp_path, judged=True)] == ["c.txt", "valid.txt"]
    assert text_files(tmp_path / "a.txt") == [tmp_path / "a.txt"]


def test_without_a_file_or_a_tokenizer_there_is_nothing_to_learn(tmp_path: Path) -> None:
    for name in ("none.txt", "none.jsonl"):
        with pytest.raises(NotFoundError):
            list(read_documents(tmp_path / name))
    with pytest.raises(UnsupportedError, match="no tokenizer"):
        list(pieces(Document("x"), Prompts("bare", None, None), 10))


@given(st.binary(max_size=200))
def test_no_file_is_more_than_a_problem(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("texts")
    for name in ("a.txt", "b.jsonl"):
        (folder / name).write_bytes(content)
        for found in read_documents(folder / name):
            assert isinstance(found, Document | Problem)
