import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text import Tokenizer
from unit.text.conftest import CONTROLS

texts = st.lists(st.text() | st.sampled_from(["<|im_end|>", "<think>", "e\u0301", "1234", "    "])).map("".join)


@pytest.fixture(scope="module")
def stated(trained: tokenizers.Tokenizer) -> dict[str, Any]:
    return json.loads(trained.to_str())


@pytest.fixture(scope="module")
def read(stated: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return written(tmp_path_factory.mktemp("json"), stated, {"eos_token": {"content": "<|im_end|>"}})


def written(folder: Path, stated: Any, config: Any = None) -> Tokenizer:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(stated))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return Tokenizer.from_file(path)


@settings(max_examples=40)
@given(text=texts)
def test_as_hugging_face(read: Tokenizer, trained: tokenizers.Tokenizer, text: str) -> None:
    assert read.encode(text, special=True) == trained.encode(text, add_special_tokens=False).ids
    assert not set(read.encode(text)) & set(read.controls.values())
    assert read.decode(read.encode(text)) == text


@settings(max_examples=100)
@given(
    runs=st.lists(
        st.sampled_from([*CONTROLS, " ", "\n", "\x1c", "\x85", "\u3000", "\u200b", "a", "  b "]) | st.text(max_size=2)
    ),
    strips=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_control_tokens_may_take_the_white_space_around_them(
    stated: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, runs: list[str], strips: list[bool]
) -> None:
    added = [dict(token) for token in stated["added_tokens"] if token["special"]]
    for i, token in enumerate(added):
        token.update(lstrip=strips[i], rstrip=strips[i + 3])
    changed = stated | {"added_tokens": added}
    ours = written(tmp_path_factory.getbasetemp(), changed)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(changed))
    assert ours.encode("".join(runs), special=True) == theirs.encode("".join(runs), add_special_tokens=False).ids


def test_as_the_same_in_gguf(read: Tokenizer, byte_pair: Tokenizer) -> None:
    ids = range(read.vocab_size)
    assert [read.token_text(i) for i in ids] == [byte_pair.token_text(i) for i in ids]
    assert [read.token_bytes(i) for i in ids] == [byte_pair.token_bytes(i) for i in ids]
    assert (read.eos, read.stop_ids) == (byte_pair.eos, byte_pair.stop_ids)


def test_normalisers_count(stated: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = written(tmp_path, stated | {"normalizer": {"type": "NFC"}})
    assert tokenizer.decode(tokenizer.encode("e\u0301")) == "é"


def test_the_beginning_of_a_text(stated: dict[str, Any], tmp_path: Path) -> None:
    assert written(tmp_path, stated, {"bos_token": "<|im_start|>"}).adds_bos is False
    assert written(tmp_path, stated, {"bos_token": "<|im_start|>", "add_bos_token": True}).adds_bos is True
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}]}
    tokenizer = written(tmp_path, stated | {"post_processor": {"type": "Sequence", "processors": [template]}}, {})
    assert tokenizer.adds_bos is True
    assert tokenizer.encode("a", bos=True)[0] == tokenizer.controls["<|im_start|>"]


def test_what_ends_an_answer(stated: dict[str, Any], tmp_path: Path) -> None:
    named = {added["id"] for added in stated["added_tokens"] if added["content"] in ("<|im_end|>", "<|endoftext|>")}
    for ends, found in [(97, {97}), ([97, 98, 10**6, -1], {97, 98}), (None, set()), ([], set())]:
        for name in ("config.json", "generation_config.json"):
            (tmp_path / name).write_text(json.dumps({"eos_token_id": ends}))
            assert written(tmp_path, stated).stop_ids == named | found
            (tmp_path / name).unlink()
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 97}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 98}))
    assert written(tmp_path, stated).stop_ids == named | {98}
    for wrong in (1.5, "2", True, [None], list(range(100))):
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": wrong}))
        with pytest.raises(ModelFileError, match="eos_token_id next to it is no token id"):
            written(tmp_path, stated)


def test_ids_may_have_gaps(stated: dict[str, Any], tmp_path: Path) -> None:
    added = [*stated["added_tokens"], dict(stated["added_tokens"][0], id=700, content="<far>")]
    tokenizer = written(tmp_path, stated | {"added_tokens": added})
    assert tokenizer.vocab_size == 701
    assert tokenizer.token_bytes(699) == b""
    assert tokenizer.encode("<far>", special=True) == [700]


def test_what_is_not_supported(stated: dict[str, Any], tmp_path: Path) -> None:
    like_llama = tokenizers.Tokenizer(models.BPE({"<0x41>": 0}, [], byte_fallback=True))
    like_llama.normalizer = normalizers.Prepend("▁")
    for other in (
        json.loads(like_llama.to_str()),
        stated | {"model": stated["model"] | {"type": "WordPiece"}},
        stated | {"added_tokens": [dict(stated["added_tokens"][0], single_word=True)]},
        stated | {"added_tokens": [dict(stated["added_tokens"][0], special=False, rstrip=True)]},
    ):
        with pytest.raises(UnsupportedError, match="support"):
            written(tmp_path, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": {"type": "BPE"}},
        {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 10**9}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": "x"}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [[1, 2]]}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": 5}},
        {"added_tokens": [5]},
        {"added_tokens": [{"id": 0}]},
        {"pre_tokenizer": 5},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Nonsense"}]}},
        {"normalizer": {"type": "Nonsense"}},
    ],
)
def test_lies(stated: dict[str, Any], changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        written(tmp_path, stated | changes)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_bad_neighbour(stated: dict[str, Any], tmp_path: Path) -> None:
    for config in ("{", "[]", "\0"):
        (tmp_path / "tokenizer_config.json").write_text(config)
        with pytest.raises(ModelFileError, match="tokenizer_config"):
            written(tmp_path, stated)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "id", "content"]), inner),
    max_leaves=5,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["model", "added_tokens", "pre_tokenizer", "normalizer", "post_processor"]), plain)
)
def test_random_claims(stated: dict[str, Any], tmp_path: Path, claims: dict[str, Any]) -> None:
    try:
        written(tmp_path, stated | claims)
    except ModelFileError as error:
        assert "\n" not in str(error)
