"""What a page reads it can say again, in both languages; and what no page may run is refused in one line."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from gadfly.arch import Config, page_for
from gadfly.arch.describe import describe_gguf, describe_json
from gadfly.errors import GadflyError, ModelFileError, UnsupportedError
from gadfly.spec import ModelSpec
from relatives import RELATIVES


def read(values: dict[str, Any]) -> ModelSpec:
    config = Config("config.json", values)
    return page_for(config, values["architectures"][0]).spec(config)


@pytest.mark.parametrize("name", RELATIVES)
def test_config_json_there_and_back(name: str) -> None:
    values = RELATIVES[name]
    page = page_for(Config("config.json", values), values["architectures"][0])
    assert read(json.loads(json.dumps(describe_json(page, read(values))))) == read(values)


@pytest.mark.parametrize("name", RELATIVES)
def test_gguf_there_and_back(name: str) -> None:
    values, spec = RELATIVES[name], read(RELATIVES[name])
    page = page_for(Config("config.json", values), values["architectures"][0])
    metadata, tensors = describe_gguf(page, spec), page.tensors(spec)
    config = Config("model.gguf", metadata, tensors, gguf=page.gguf_name)
    assert page_for(config, page.gguf_name).spec(config) == spec


@pytest.mark.parametrize("name", RELATIVES)
def test_every_weight_has_a_name_in_both_languages(name: str) -> None:
    values, spec = RELATIVES[name], read(RELATIVES[name])
    page = page_for(Config("config.json", values), values["architectures"][0])
    for dialect in (page.gguf, page.hf):
        for path, _ in spec.shapes():
            entry = dialect.names.entry(path)
            assert entry is not None, path
            assert dialect.names.find(entry.names(1)[0]) == entry
            assert path in entry.paths


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("llama", {"attention_bias": True}, UnsupportedError),
        ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, UnsupportedError),
        ("llama", {"hidden_act": "relu"}, UnsupportedError),
        (
            "llama-3",
            {"rope_scaling": {**RELATIVES["llama-3"]["rope_scaling"], "high_freq_factor": 1.0}},
            ModelFileError,
        ),
        ("llama", {"num_key_value_heads": 4}, ModelFileError),
        ("llama", {"rope_parameters": [1]}, ModelFileError),
        ("qwen2-window", {"layer_types": ["sliding_attention"]}, ModelFileError),
        ("qwen2-window", {"layer_types": ["linear_attention"] * 3}, ModelFileError),
        ("qwen2-window", {"layer_types": [[], {}, None]}, ModelFileError),
        ("qwen2-window", {"sliding_window": [7]}, ModelFileError),
        ("qwen3", {"attention_bias": True}, UnsupportedError),
        ("qwen3moe", {"mlp_only_layers": [1]}, UnsupportedError),
        ("qwen3moe", {"decoder_sparse_step": 2}, UnsupportedError),
        ("qwen3moe", {"num_experts_per_tok": 7}, ModelFileError),
        ("gemma3", {"use_bidirectional_attention": True}, UnsupportedError),
        ("gemma3", {"final_logit_softcapping": 30.0}, UnsupportedError),
        ("phi3-long", {"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0]}}, ModelFileError),
        ("phi3-long", {"rope_scaling": {"rope_type": "longrope", "short_factor": [10**400] * 3}}, ModelFileError),
        ("phi3-long", {"partial_rotary_factor": 0.9}, ModelFileError),
    ],
)
def test_what_is_refused(name: str, change: dict[str, Any], error: type[GadflyError]) -> None:
    with pytest.raises(error, match=r"config\.json") as caught:
        read({**RELATIVES[name], **change})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


JUNK = [None, True, False, 0, -1, 3, "8", "", [8], [[]], {}, {"factor": []}, 1e300, 10**400, float("nan"), float("inf")]


@pytest.mark.parametrize("name", RELATIVES)
def test_no_value_of_a_config_json_is_worse_than_an_error(name: str) -> None:
    for key in (RELATIVES[name].keys() | {"layer_types", "rope_parameters", "rope_scaling"}) - {"architectures"}:
        for value in JUNK:
            with suppress(GadflyError):
                read({**RELATIVES[name], key: value})


@pytest.mark.parametrize("name", RELATIVES)
def test_no_value_of_a_gguf_file_is_worse_than_an_error(name: str) -> None:
    spec = read(RELATIVES[name])
    page = page_for(Config("config.json", RELATIVES[name]), RELATIVES[name]["architectures"][0])
    metadata = describe_gguf(page, spec)
    for key in metadata.keys() | {f"{page.gguf_name}.attention.sliding_window_pattern"}:
        for value in (*JUNK[1:8], "linear", np.zeros(2, np.float32), np.array([], bool), np.float32("nan"), ["x"]):
            config = Config("model.gguf", {**metadata, key: value}, page.tensors(spec), gguf=page.gguf_name)
            with suppress(GadflyError):
                page_for(config, page.gguf_name).spec(config)


def test_gemmas_embedding_is_scaled_as_its_weights_were_rounded() -> None:
    assert read(RELATIVES["gemma3"]).embedding_scale == 48**0.5
    for key in ("dtype", "torch_dtype"):
        assert read({**RELATIVES["gemma3"], key: "bfloat16"}).embedding_scale == 6.9375
        text = {**RELATIVES["gemma3"], "architectures": []}
        both = {"architectures": ["Gemma3ForConditionalGeneration"], key: "bfloat16", "text_config": text}
        assert read(both).embedding_scale == 6.9375


def test_gemmas_windows_follow_a_period() -> None:
    def seen(**change: int) -> list[bool]:
        return [block.mixer.window is None for block in read({**RELATIVES["gemma3"], **change}).blocks]

    assert seen() == [False] * 5 + [True, False]
    assert seen(sliding_window_pattern=3) == [False, False, True, False, False, True, False]


def test_layers_that_slide_may_be_told_by_flags_or_by_a_period() -> None:
    metadata = {
        "qwen2.attention.sliding_window": 5,
        "qwen2.block_count": 6,
        "qwen2.embedding_length": 32,
        "qwen2.attention.head_count": 2,
        "qwen2.feed_forward_length": 32,
        "qwen2.context_length": 64,
        "qwen2.vocab_size": 9,
        "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
    }

    def windows(types: Any) -> list[int | None]:
        config = Config("model.gguf", {**metadata, "qwen2.attention.sliding_window_pattern": types}, gguf="qwen2")
        return [block.mixer.window for block in page_for(config, "qwen2").spec(config).blocks]

    assert windows(np.uint32(3)) == [5, 5, None, 5, 5, None]
    assert windows(np.array([True, False, False, True, False, True])) == [5, None, None, 5, None, 5]
    assert windows(np.uint32(0)) == [None] * 6
    with pytest.raises(ModelFileError, match="sliding_window_pattern"):
        windows(np.array([True, False]))
