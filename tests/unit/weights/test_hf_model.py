"""A folder that lies about itself is refused in one line, quickly and in little memory, whatever the lie."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.arch import PAGES
from gadfly.errors import GadflyError, ModelFileError
from gadfly.spec import ModelSpec
from gadfly.testing import random_weights, tiny_spec
from gadfly.weight import Int8, Joined, Plain
from gadfly.weights.export import export
from gadfly.weights.hf_model import FolderTensors
from gadfly.weights.load import open_model
from gadfly.weights.safetensors_folder import INDEX, SafetensorsFolder
from gadfly.weights.safetensors_writer import write_safetensors, write_safetensors_folder

SPEC = tiny_spec()
LLAMA = next(page for page in PAGES if page.name == "llama")
CONFIG = {"architectures": ["LlamaForCausalLM"], **LLAMA.describe(SPEC), "rope_scaling": None}
SIZES = [0, 1, 2, 3, 31, 32, 64, 4095, 4096, 2**14, 2**20, 2**24, 2**24 + 1, 2**31, 2**63, 10**100, -1, -(2**40)]
ODD = [
    None,
    True,
    False,
    "",
    "64",
    "ünicode" * 999,
    [],
    [64],
    {},
    {"a": {}},
    1.5,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
]
KINDS = ["default", "linear", "llama3", "yarn", "", 3, None, ["linear"], {}]
VALUES = st.one_of(st.sampled_from(SIZES), st.sampled_from(ODD), st.integers(), st.floats())
SCALING = st.dictionaries(
    st.sampled_from(
        ["type", "rope_type", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"]
    ),
    st.one_of(st.sampled_from(KINDS), VALUES),
)
NAMES = [*CONFIG, "rope_parameters", "partial_rotary_factor", "sliding_window", "attention_bias", "hidden_act"]
EXPERTS = ["num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "residual_moe"]
CLASSES = [*(page.hf_name for page in PAGES), "GPT2LMHeadModel", "", 7]


def tensors_of(spec: ModelSpec) -> dict[str, tuple[str, tuple[int, ...], np.ndarray]]:
    found = export(random_weights(spec), spec, LLAMA.hf)
    return {t.name: ("F32", t.shape, np.concatenate([part.array for part in t.parts])) for t in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llama"
    write_safetensors_folder(folder, tensors_of(SPEC), {"config.json": json.dumps(CONFIG).encode()})
    return folder


def opened_or_refused(folder: Path) -> None:
    tracemalloc.start()
    try:
        model = open_model(folder)
    except GadflyError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        shapes = dict(model.spec.shapes())
        assert all(model.weights[path].shape == shape for path, shape in shapes.items())
        for block in model.spec.blocks:
            assert all(0 < frequency < np.inf for frequency in block.mixer.rope.frequencies())
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 32 * 2**20


def test_the_whole_folder_is_sound(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    assert open_model(folder).spec == SPEC


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES + EXPERTS), VALUES, max_size=4),
    st.one_of(st.none(), SCALING, VALUES),
    st.sampled_from(CLASSES),
)
def test_whatever_config_json_says(
    folder: Path, changed: dict[str, object], scaling: object, architecture: object
) -> None:
    config = {**CONFIG, "architectures": [architecture], "rope_scaling": scaling, **changed}
    (folder / "config.json").write_text(json.dumps(config))
    opened_or_refused(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_hidden_layers": 4096}, "missing"),
        ({"num_hidden_layers": 10**9}, "an integer from 1 to 4096"),
        ({"num_hidden_layers": 1}, "belongs to no layer of a model of 1"),
        ({"head_dim": 2**24}, "head_dim"),
        ({"num_attention_heads": 1, "hidden_size": 2**24, "head_dim": None}, "head_dim"),
        ({"rope_theta": 5e-324}, "rope_theta"),
        ({"partial_rotary_factor": 1e-9}, "cannot turn 0"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"rope_scaling": ["linear"]}, "expected an object"),
        ({"rope_scaling": {"type": 5}}, "expected text"),
        (
            {
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8,
                    "low_freq_factor": 2,
                    "high_freq_factor": 2,
                    "original_max_position_embeddings": 64,
                }
            },
            "high_freq_factor",
        ),
        ({"architectures": "LlamaForCausalLM"}, "a list of one name"),
        ({"architectures": []}, "a list of one name"),
        ({"architectures": [["LlamaForCausalLM"]]}, "a list of one name"),
        ({"architectures": None}, "a list of one name"),
    ],
)
def test_lies_are_called_by_their_names(folder: Path, changed: dict[str, object], message: str) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    with pytest.raises(ModelFileError, match=message):
        open_model(folder)
    opened_or_refused(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "7", '{"a": ' + "[" * 10**5, '{"a": ' + "9" * 5000 + "}", "\xff", "NaN"]
)
def test_a_config_that_is_no_object(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFileError, match=r"config\.json"):
        open_model(folder)


def test_deep_values_are_shown_by_their_kind(folder: Path) -> None:
    deep = "[" * 900 + "]" * 900
    (folder / "config.json").write_text(json.dumps(CONFIG)[:-1] + f', "hidden_size": {deep}}}')
    with pytest.raises(ModelFileError, match="a list"):
        open_model(folder)


SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 16, 32, 64]), max_size=5).map(tuple)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [*tensors_of(SPEC), "model.embed_tokens.weight_scale", "model.norm.weight_scale", "odd", "x" * 999]
    ),
    st.sampled_from(["F32", "BF16", "I8", "F64", "BOOL", "F8_E4M3"]),
    SHAPES,
    st.integers(1, 3),
)
def test_tensors_of_any_rank_and_type(
    tmp_path_factory: pytest.TempPathFactory, name: str, dtype: str, shape: tuple[int, ...], ranks: int
) -> None:
    """One of them is replaced, or comes in pieces as those of Grok-2 do."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    width = {"F32": 4, "BF16": 2, "F64": 8}.get(dtype, 1)
    odd = (dtype, shape, np.zeros(int(np.prod(shape)) * width, np.uint8))
    if ranks == 1:
        write_safetensors(folder / "model.safetensors", {**tensors_of(SPEC), name: odd})
    else:
        rest = {other: tensor for other, tensor in tensors_of(SPEC).items() if other != name}
        write_safetensors(folder / "model-TP-common.safetensors", rest)
        for rank in range(ranks):
            write_safetensors(folder / f"model-TP-{rank:03}.safetensors", {name: odd})
    opened_or_refused(folder)


@pytest.mark.parametrize(
    "file",
    ["../other.safetensors", "/etc/passwd", "a/b.safetensors", "", "..", ".safetensors", "a\0.safetensors", 7, None],
)
def test_an_index_leads_nowhere_else(tmp_path: Path, file: object) -> None:
    write_safetensors_folder(tmp_path / "m", tensors_of(SPEC), {"config.json": json.dumps(CONFIG).encode()})
    index = {"weight_map": dict.fromkeys(tensors_of(SPEC), file)}
    (tmp_path / "m" / INDEX).write_text(json.dumps(index))
    with pytest.raises(GadflyError):
        open_model(tmp_path / "m")


def int8_folder(path: Path, codes: tuple[int, ...], scales: tuple[int, ...], dtype: str = "BF16") -> FolderTensors:
    generator = np.random.default_rng(1)
    numbers = generator.integers(-127, 128, codes).astype(np.int8)
    exponents = generator.integers(0x3F00, 0x3F80, scales).astype(np.float32 if dtype == "F32" else np.uint16)
    write_safetensors(path / "a.safetensors", {"w": ("I8", codes, numbers), "w_scale": (dtype, scales, exponents)})
    return FolderTensors(SafetensorsFolder.open(path))


def test_int8_is_codes_times_the_scale_of_their_group(tmp_path: Path) -> None:
    tensors = int8_folder(tmp_path, (5, 12), (5, 3))
    assert tensors.names() == ["w"]
    weight = tensors.weight("w")
    assert isinstance(weight, Int8)
    codes, scales = tensors.files.array("w"), tensors.files.array("w_scale")
    values = (scales.astype(np.uint32) << 16).view(np.float32)
    expected = [[codes[row, column] * values[row, column // 4] for column in range(12)] for row in range(5)]
    np.testing.assert_array_equal(weight.decode(), np.float32(expected))


@pytest.mark.parametrize(
    ("codes", "scales", "dtype"),
    [
        ((4, 8), (4, 3), "BF16"),
        ((4, 8), (5, 2), "BF16"),
        ((4, 8), (4, 0), "BF16"),
        ((4, 8), (4, 16), "BF16"),
        ((4, 8), (4,), "BF16"),
        ((4,), (4,), "BF16"),
        ((), (), "BF16"),
        ((2, 4, 8), (2, 4, 2), "BF16"),
        ((4, 8), (4, 2), "F32"),
        ((4, 8), (4, 2), "U16"),
        ((0, 8), (0, 2), "BF16"),
    ],
)
def test_scales_that_do_not_fit(tmp_path: Path, codes: tuple[int, ...], scales: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ModelFileError, match="groups dividing in"):
        int8_folder(tmp_path, codes, scales, dtype).weight("w")


def test_pieces_of_a_matrix_are_joined(tmp_path: Path) -> None:
    pieces = [np.float32(np.arange(6).reshape(2, 3) + 10 * rank) for rank in range(2)]
    for rank, piece in enumerate(pieces):
        write_safetensors(tmp_path / f"m-TP-{rank:03}.safetensors", {"w": ("F32", piece.shape, piece)})
    joined = FolderTensors(SafetensorsFolder.open(tmp_path)).weight("w")
    assert isinstance(joined, Joined)
    rows = joined.rows(slice(None))
    assert isinstance(rows, Plain)
    np.testing.assert_array_equal(rows.array, np.concatenate(pieces))


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "/dev/zero", "missing", ""])
def test_paths_that_lead_to_no_model(name: str, tmp_path: Path) -> None:
    with pytest.raises(GadflyError, match=r"give the path|check the path|is a folder without"):
        open_model(tmp_path / name)
