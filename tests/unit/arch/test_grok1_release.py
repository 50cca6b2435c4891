"""Every tensor of the real release and of the golden ones is where tables say; odd hyperparameters are refused."""

import csv
import json
import os
from ast import literal_eval
from collections import Counter
from dataclasses import asdict, replace
from math import prod
from pathlib import Path

import pytest

from gadfly.arch.grok1_release import Hyperparameters, config_json, read_hyperparameters, release_layout
from gadfly.errors import ModelFileError

DATA = Path(__file__).parents[2] / "data"

# The first file of each layer of the real model: ten layers a row.
FIRST = """
    2  14 146 278 410 542 674 734 746 758
   26  38  50  62  74  86  98 110 122 134
  158 170 182 194 206 218 230 242 254 266
  290 302 314 326 338 350 362 374 386 398
  422 434 446 458 470 482 494 506 518 530
  554 566 578 590 602 614 626 638 650 662
  686 698 710 722
"""
LAYER = [
    ("moe/linear/w", "int8", (8, 6144, 32768)),
    ("moe/linear_1/w", "int8", (8, 32768, 6144)),
    ("moe/linear_v/w", "int8", (8, 6144, 32768)),
    ("multi_head_attention/key/w", "int8", (6144, 1024)),
    ("multi_head_attention/linear/w", "int8", (6144, 6144)),
    ("multi_head_attention/query/w", "int8", (6144, 6144)),
    ("multi_head_attention/value/w", "int8", (6144, 1024)),
    ("rms_norm/scale", "float32", (6144,)),
    ("rms_norm_1/scale", "float32", (6144,)),
    ("rms_norm_2/scale", "float32", (6144,)),
    ("rms_norm_3/scale", "float32", (6144,)),
    ("router/w", "float32", (6144, 8)),
]


def values(layout):
    return [(tensor.index, tensor.name, tensor.kind, tensor.shape) for tensor in layout]


def test_the_real_release():
    expected = [
        (0, "language_model/in_out_embed/embeddings", "float32", (131072, 6144)),
        (1, "language_model/rms_norm/scale", "float32", (6144,)),
    ]
    for layer, first in enumerate(map(int, FIRST.split())):
        for slot, (name, kind, shape) in enumerate(LAYER):
            expected.append((first + slot, f"transformer/decoder_layer_{layer}/{name}", kind, shape))
    layout = release_layout(Hyperparameters())
    assert values(layout) == sorted(expected)
    assert [tensor.index for tensor in layout] == list(range(770))
    assert (layout[0].file_name, layout[769].file_name) == ("tensor00000_000", "tensor00769_000")
    assert sum(prod(tensor.shape) for tensor in layout) == 315_684_820_992


@pytest.mark.skipif("GADFLY_TEST_DATA" not in os.environ, reason="GADFLY_TEST_DATA names no folder")
def test_the_real_release_by_its_whole_table():
    table = Path(os.environ["GADFLY_TEST_DATA"]) / "oracle" / "real_grok1_tensors.tsv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    layout = release_layout(Hyperparameters())
    assert [tensor.file_name for tensor in layout] == [row["file"] for row in rows]
    assert values(layout) == [
        (int(row["index"]), row["name"], row["stored"], tuple(literal_eval(row["shape"]))) for row in rows
    ]


@pytest.mark.parametrize(("name", "layers"), [("tiny-grok-1", 3), ("tiny-grok-1-12layer", 12)])
def test_the_golden_checkpoints(name, layers):
    config = json.loads((DATA / name / "config.json").read_text())
    hyperparameters = read_hyperparameters(DATA / name / "config.json")
    assert {key: config[key] for key in asdict(hyperparameters)} == asdict(hyperparameters)
    assert hyperparameters.ffn_size == config["ffn_size"]
    expected = [
        (t["index"], t["name"], t["dtype"] if t["scales_shape"] is None else "int8", tuple(t["shape"]))
        for t in config["tensors"]
    ]
    layout = release_layout(hyperparameters)
    assert len(layout) == 2 + 12 * layers
    assert values(layout) == expected
    assert [tensor.file_name for tensor in layout] == [t["file"] for t in config["tensors"]]


@pytest.mark.parametrize(("dim", "widening", "width"), [(6144, 8, 32768), (96, 4.2, 272), (48, 2, 64), (128, 2.6, 224)])
def test_the_width_of_an_expert(dim, widening, width):
    assert replace(Hyperparameters(), emb_size=dim, widening_factor=widening).ffn_size == width


def test_names_are_distinct_for_any_number_of_layers():
    for layers in (1, 9, 10, 11, 100, 101):
        layout = release_layout(replace(Hyperparameters(), num_layers=layers))
        assert set(Counter(tensor.name for tensor in layout).values()) == {1}
        assert {tensor.name.split("/")[1] for tensor in layout[2:]} == {f"decoder_layer_{i}" for i in range(layers)}


# --- config.json


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_hyperparameters(tmp_path / "config.json")

    return write


def test_a_config_is_read_as_it_is_written(config):
    odd = Hyperparameters(100, 101, 102, 104, 105, 21, 107, 1.5, 109, 110 // 2, *range(111, 119))
    assert config(config_json(odd)) == odd
    assert config(config_json(Hyperparameters())) == Hyperparameters()


def test_what_the_reference_hard_codes_may_be_missing(config):
    text = json.loads(config_json(Hyperparameters()))
    for key in ("attn_logit_cap", "rms_norm_eps", "rope_base", "pad_token", "eos_token", "ffn_size", "tied_embeddings"):
        del text[key]
    assert config(json.dumps(text | {"model_type": "grok", "unknown": [1]})) == Hyperparameters()


@pytest.mark.parametrize("key", sorted(set(asdict(Hyperparameters()))))
@pytest.mark.parametrize("value", [True, None, "8", [8], -1, float("nan"), float("inf"), 10**400, 1e300])
def test_values_out_of_range(config, key, value):
    with pytest.raises(ModelFileError, match=rf"config\.json: {key} is .*; expected") as caught:
        config(json.dumps(json.loads(config_json(Hyperparameters())) | {key: value}))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0; expected 1 to 4096"),
        ({"num_layers": 5000}, "num_layers is 5000; expected 1 to 4096"),
        ({"num_layers": 64.0}, "num_layers is 64.0; expected an integer"),
        ({"num_kv_heads": 7}, "num_q_heads is 48; expected a multiple of num_kv_heads, 7"),
        ({"key_size": 127}, "key_size is 127; expected an even number"),
        ({"num_selected_experts": 9}, "num_selected_experts is 9; expected at most 8"),
        ({"ffn_size": 32760}, "ffn_size is 32760; expected 32768, which emb_size and widening_factor make"),
        ({"emb_size": 1, "widening_factor": 0.5}, "widening_factor is 0.5; expected more, for an emb_size of 1"),
        ({"tied_embeddings": False}, "tied_embeddings is False; expected true"),
    ],
)
def test_contradictions(config, change, message):
    with pytest.raises(ModelFileError, match=message):
        config(json.dumps(json.loads(config_json(Hyperparameters())) | change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        (b"\xff\xfe\xfd", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON: maximum recursion depth"),
        ('{"emb_size": ' + "9" * 10_000 + "}", "cannot be read as JSON: Exceeds the limit"),
        ("[]", "holds no object"),
        ("{}", "lacks vocab_size, sequence_len, emb_size"),
        ('{"vocab_size": 5}', "lacks sequence_len, emb_size"),
        (" " * (2**20 + 1), "has more than 1048576 bytes"),
    ],
)
def test_texts_that_are_no_config(config, text, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        config(text)
    assert "\n" not in str(caught.value)


def test_a_config_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing"):
        with pytest.raises(ModelFileError, match="is not a file"):
            read_hyperparameters(path)
