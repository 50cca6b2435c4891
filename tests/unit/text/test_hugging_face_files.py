"""From GGUF's keys to a folder and back: the same ids, and for byte-level ones the same as `tokenizers` finds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.hub.library import Library
from gadfly.settings import home
from gadfly.text import Tokenizer
from gadfly.text.gguf_keys import gguf_keys
from gadfly.text.hugging_face_files import hugging_face_files
from gadfly.weights.gguf import GGUF
from gadfly.weights.tokenizer_files import find_tokenizer
from unit.text.conftest import CONTROLS, PROSE, USER_DEFINED
from unit.text.test_gguf_keys import assert_the_same

texts = st.lists(st.text() | st.sampled_from([*CONTROLS, *USER_DEFINED, "<sep>", "<s>", "▁", "12345", "e\u0301"])).map(
    "".join
)


def written(folder: Path, metadata: dict[str, Any]) -> Path:
    for name, content in hugging_face_files(metadata).items():
        (folder / name).write_bytes(content)
    path = find_tokenizer(folder).tokenizer
    assert path is not None
    return path


@pytest.fixture(scope="module", params=["smollm", "llama-bpe", "qwen2", "pieces", "pieces without space"])
def pair(
    request: pytest.FixtureRequest,
    byte_pair_metadata: dict[str, Any],
    sentence_piece_metadata: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Tokenizer, Path]:
    metadata = byte_pair_metadata | {"tokenizer.ggml.pre": request.param}
    if request.param == "llama-bpe":
        metadata["tokenizer.ggml.add_bos_token"] = True
    if request.param.startswith("pieces"):
        metadata = sentence_piece_metadata | {"tokenizer.ggml.add_space_prefix": request.param == "pieces"}
        metadata["tokenizer.ggml.add_bos_token"] = False
    metadata["tokenizer.chat_template"] = "{{ ü }}"
    return Tokenizer.from_gguf(metadata), written(tmp_path_factory.mktemp("folder"), metadata)


@settings(max_examples=60)
@given(text=texts)
def test_the_same_ids(pair: tuple[Tokenizer, Path], text: str) -> None:
    original, path = pair
    again = Tokenizer.from_file(path)
    assert again.encode(text) == original.encode(text)
    assert again.encode(text, special=True) == original.encode(text, special=True)
    library = tokenizers.Tokenizer.from_file(str(path.with_name("tokenizer.json")))
    ids = library.encode(text).ids
    assert ids == original.encode(text, special=True, bos=original.adds_bos)
    assert library.decode(ids, skip_special_tokens=True) == original.decode(ids)


def test_the_same_tokens(pair: tuple[Tokenizer, Path]) -> None:
    original, path = pair
    assert_the_same(Tokenizer.from_file(path), original)
    assert find_tokenizer(path.parent).template == "{{ ü }}"


def test_what_is_said_beside_it(byte_pair_metadata: dict[str, Any], sentence_piece_metadata: dict[str, Any]) -> None:
    files = hugging_face_files(byte_pair_metadata)
    config = json.loads(files["tokenizer_config.json"])
    assert (config["bos_token"], config["eos_token"], config["add_bos_token"]) == ("<|im_start|>", "<|im_end|>", False)
    assert json.loads(files["generation_config.json"]) == {"eos_token_id": [500, 502], "bos_token_id": 501}
    config = json.loads(hugging_face_files(sentence_piece_metadata)["tokenizer_config.json"])
    assert (config["bos_token"], config["eos_token"], config["unk_token"]) == ("<s>", "</s>", "<unk>")
    assert config["add_bos_token"] is True


def test_unused_tokens_keep_their_ids(byte_pair_metadata: dict[str, Any], tmp_path: Path) -> None:
    metadata = byte_pair_metadata | {
        "tokenizer.ggml.tokens": [*byte_pair_metadata["tokenizer.ggml.tokens"], "<unused>"],
        "tokenizer.ggml.token_type": np.append(byte_pair_metadata["tokenizer.ggml.token_type"], 5),
    }
    assert Tokenizer.from_file(written(tmp_path, metadata)).vocab_size == 507


def test_what_is_no_tokenizer() -> None:
    with pytest.raises(ModelFileError, match="has no tokenizer"):
        hugging_face_files({})


@pytest.fixture(scope="session")
def smollm2_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tokenizers.Tokenizer:
    path = Library(home()).resolve("smollm2")
    if path is None:
        pytest.skip("the default model is not here; run `make model`")
    with GGUF.open(path) as file:
        written(folder := tmp_path_factory.mktemp("smollm2"), dict(file.metadata))
    assert find_tokenizer(folder).template is not None
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


@settings(max_examples=100)
@given(text=texts)
def test_smollm2(smollm2: Tokenizer, smollm2_elsewhere: tokenizers.Tokenizer, text: str) -> None:
    assert smollm2_elsewhere.encode(text).ids == smollm2.encode(text, special=True)


@pytest.fixture(scope="session")
def grok_1_elsewhere(grok_1: Path, tmp_path_factory: pytest.TempPathFactory) -> tokenizers.Tokenizer:
    folder = tmp_path_factory.mktemp("grok-1")
    written(folder, gguf_keys(grok_1 / "tokenizer.model"))
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


@settings(max_examples=200)
@given(
    text=st.lists(st.text() | st.sampled_from([*PROSE, "<|control1|>", "[BOS]", "   ", "\n\n", "\t", "a"])).map("".join)
)
def test_grok_1(grok_1_tokenizer: Tokenizer, grok_1_elsewhere: tokenizers.Tokenizer, text: str) -> None:
    ids = grok_1_tokenizer.encode(text, special=True)
    assert grok_1_elsewhere.encode(text).ids == ids
    assert grok_1_elsewhere.decode(ids, skip_special_tokens=True) == grok_1_tokenizer.decode(ids)
