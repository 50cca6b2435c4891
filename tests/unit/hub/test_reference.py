"""What people type, and what is meant."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import NotFoundError
from gadfly.hub.reference import HubChoice, Name, OwnFile, parse_reference
from gadfly.hub.sources import Address

HUB = "https://hub.example"
COMMIT = "ab810cf68114990406fdf996510dd3d3c6adbdf5"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("smollm2", Name("smollm2")),
        ("Llama-3.2-1B", Name("Llama-3.2-1B")),
        ("owner/model", HubChoice("owner/model")),
        ("owner/model:Q4_K_M", HubChoice("owner/model", "Q4_K_M")),
        ("owner/model-1.5:sub/file.gguf", HubChoice("owner/model-1.5", "sub/file.gguf")),
        ("hf.co/owner/model:Q4_K_M", HubChoice("owner/model", "Q4_K_M")),
        ("https://huggingface.co/owner/model", HubChoice("owner/model")),
        ("https://huggingface.co/owner/model/", HubChoice("owner/model")),
        ("https://huggingface.co/owner/model/tree/main", HubChoice("owner/model")),
        ("https://hf.co/owner/model/blob/main/a%20b.gguf", HubChoice("owner/model", "a b.gguf")),
        (f"{HUB}/owner/model/resolve/{COMMIT}/x/a.gguf?download=true", HubChoice("owner/model", "x/a.gguf", COMMIT)),
        ("https://example.org/a.gguf?key=1", Address("https://example.org/a.gguf?key=1")),
        ("https://huggingface.co/api/whatever/else", Address("https://huggingface.co/api/whatever/else")),
    ],
)
def test_meanings(text, meant):
    assert parse_reference(text, HUB) == meant


def test_a_file_that_exists_is_meant_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.gguf", "smollm2", "owner/model"):
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert parse_reference(name, HUB) == OwnFile(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_reference("~/model.gguf", HUB) == OwnFile(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    "text", ["./gone.gguf", "gone.gguf", "/gone", "../gone", "~/gone", "folder/gone.gguf", "~nobody/x"]
)
def test_files_that_do_not_exist(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match="there is no file"):
        parse_reference(text, HUB)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a/b/c", "a:b", "owner/", "/", "http://", "https:///x", "https://[x/"]
)
def test_nonsense(text):
    with pytest.raises(NotFoundError):
        parse_reference(text, HUB)


@given(st.text(max_size=40) | st.from_regex(r"(https?://)?[\w./:%?@-]{0,40}", fullmatch=True))
def test_every_text_means_something_or_is_not_found(text):
    try:
        parse_reference(text, HUB)
    except NotFoundError as error:
        assert "\n" not in str(error)
