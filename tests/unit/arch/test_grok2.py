"""The released Grok-2 to the last parameter, without its weights; odd hyperparameters and odd folders are refused."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gadfly
from gadfly.arch import Config, grok1, grok2, page_for
from gadfly.arch.keys import GGUF_KEYS
from gadfly.arch.rope import yarn
from gadfly.chat.values import Message
from gadfly.errors import GadflyError, ModelFileError, NotFoundError, UnsupportedError
from gadfly.spec import Attention, Block, Dense, ModelSpec, MoE, Parallel, Rope, SandwichNorm
from gadfly.weights.export import export
from gadfly.weights.load import open_model
from gadfly.weights.safetensors import Safetensors
from grok2_release import (
    KINDS,
    RELEASED,
    TINY,
    file_name,
    names,
    piece_shape,
    random_tensors,
    whole_shape,
    write_release,
    write_sparse,
    write_tokenizer,
)

MIXER = Attention(
    heads=64,
    kv_heads=8,
    head_dim=128,
    rope=Rope(128, 208533496.0),
    scale=128**-0.5,
    softcap=30.0,
    temperature=1024,
)
FFN = Parallel(Dense(32768, "gelu_erf"), MoE(8, 2, 16384, "gelu_erf", router_softcap=30.0, renormalised=False), 2**-0.5)
GROK2 = ModelSpec(
    vocab=131072,
    dim=8192,
    context=131072,
    blocks=(Block(MIXER, FFN, SandwichNorm(1e-5)),) * 64,
    norm_eps=1e-5,
    embedding_scale=90.50966799187809,
    logit_scale=0.5,
    logit_softcap=50.0,
)


def read(**changes):
    values = {key: value for key, value in {**RELEASED, **changes}.items() if value is not ...}
    config = Config("config.json", values)
    return page_for(config, "Grok1ForCausalLM").spec(config)


def as_gguf(described):
    """What a GGUF file says of hyperparameters under the names of config.json."""
    return {f"grok.{GGUF_KEYS.get(name, name)}": value for name, value in described.items() if value is not None}


def read_gguf(values):
    config = Config("grok.gguf", values, gguf="grok")
    return page_for(config, "grok").spec(config)


def near(spec):
    """For comparisons: 2**-0.5 and its like are not the same number to the last bit however they are computed."""
    return json.loads(json.dumps(spec, default=vars), parse_float=lambda text: round(float(text), 12))


def test_the_release():
    assert near(read()) == near(GROK2)


def test_its_parameters_kind_by_kind():
    counts = Counter()
    for path, shape in GROK2.shapes():
        counts[path.rpartition(".")[0].partition(".")[2].partition(".")[2] or path.rpartition(".")[2]] += prod(shape)
    norms = sum(counts.pop(name) for name in ("norm", "mixer_norm", "mixer_post_norm", "ffn_norm", "ffn_post_norm"))
    assert norms == 2_105_344
    assert counts.pop("embedding") + counts.pop("output") == 2_147_483_648
    assert counts.pop("mixer") == 9_663_676_416
    assert counts.pop("ffn.dense") == 51_539_607_552
    assert counts.pop("ffn.moe") == 206_158_430_208 + 4_194_304
    assert not counts
    assert sum(prod(shape) for _, shape in GROK2.shapes()) == 269_515_497_472


def test_its_files():
    files = {file_name(i, r) for i, kind in enumerate(KINDS) for r in (range(8) if ".experts." in kind else [None])}
    assert len(files) == 39
    assert piece_shape(KINDS[6], RELEASED) == (2048, 8192)
    assert piece_shape(KINDS[7], RELEASED) == (8192, 2048)
    stored = {name: whole_shape(kind, RELEASED) for kind in KINDS for name in names(kind, RELEASED)}
    wanted = {}
    for path, shape in GROK2.shapes():
        entry = grok2.PAGE.hf.names.entry(path)
        held = entry.names(shape[0]) if entry.per_expert else [entry.name]
        wanted |= dict.fromkeys(held, shape[1:] if entry.per_expert else shape)
    assert wanted == stored


def test_the_whole_release_opens(tmp_path):
    """All 39 files of it, in their real sizes, as holes on the disk."""
    write_sparse(tmp_path, RELEASED)
    files = list(tmp_path.glob("*.safetensors"))
    assert len(files) == 39
    assert 0 < sum(path.stat().st_size for path in files) - 2 * 269_515_497_472 < 2**21  # headers
    model = open_model(tmp_path)
    down = model.weights["blocks.63.ffn.moe.down"].unstack()[7]
    assert down.shape == (8192, 16384)
    assert down.size == 2**28
    assert not down.rows(slice(8191, None)).blocks.any()


# --- config.json


@pytest.mark.parametrize(
    ("missing", "change"),
    [
        ("moe_intermediate_size", lambda s: ffn(s, moe=replace(FFN.moe, hidden=32768))),
        ("router_logit_softcapping", lambda s: s),
        ("attn_logit_softcapping", lambda s: s),
        ("attn_temperature_len", lambda s: mixer(s, temperature=None)),
        ("final_logit_softcapping", lambda s: replace(s, logit_softcap=None)),
        ("rope_theta", lambda s: mixer(s, rope=Rope(128, 10000.0))),
        ("rope_type", lambda s: s),
        ("head_dim", lambda s: s),
        ("residual_moe", lambda s: s),
    ],
)
def test_defaults(missing, change):
    assert near(read(**{missing: ...})) == near(change(GROK2))


def mixer(spec, **changes):
    return replace(spec, blocks=tuple(replace(block, mixer=replace(block.mixer, **changes)) for block in spec.blocks))


def ffn(spec, **changes):
    return replace(spec, blocks=tuple(replace(block, ffn=replace(block.ffn, **changes)) for block in spec.blocks))


@pytest.mark.parametrize("off", [0, -1, -1.0])
def test_caps_and_temperature_may_be_off(off):
    spec = read(attn_logit_softcapping=off, router_logit_softcapping=off, final_logit_softcapping=off)
    assert spec.blocks[0].mixer.softcap is spec.blocks[0].ffn.moe.router_softcap is spec.logit_softcap is None
    assert read(attn_temperature_len=int(off)).blocks[0].mixer.temperature is None


def test_newer_transformers_move_the_base_of_rope():
    moved = read(rope_theta=..., rope_type=..., rope_parameters={"rope_type": "original", "rope_theta": 208533496})
    assert moved == read()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"attn_temperature_len": 1}, ModelFileError, "attn_temperature_len is 1; expected 2 or more, or -1"),
        ({"rope_type": "yarn_log"}, UnsupportedError, "by plain frequencies, not 'yarn_log'"),
        ({"rope_rotate_half_dims": True}, UnsupportedError, "turns Grok-2's heads whole"),
        ({"attn_logit_softcapping_method": "sigmoid"}, UnsupportedError, "capped by 'sigmoid'; supported is 'tanh'"),
        ({"num_experts_per_tok": 9}, ModelFileError, "num_experts_per_tok is 9; expected an integer from 1 to 8"),
        ({"embedding_multiplier_scale": ...}, ModelFileError, "embedding_multiplier_scale is missing"),
        ({"output_multiplier_scale": ...}, ModelFileError, "output_multiplier_scale is missing"),
        ({"num_key_value_heads": 7}, ModelFileError, "64 query heads cannot share 7"),
        ({"rope_scaling": {"rope_type": "yarn"}}, UnsupportedError, "rope scaling 'yarn'"),
    ],
)
def test_refused(change, error, message):
    with pytest.raises(error, match=message) as caught:
        read(**change)
    assert "\n" not in str(caught.value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just(10**400),
)


@given(
    key=st.sampled_from(sorted([*RELEASED, "rope_parameters", "rope_scaling", "rope_rotate_half_dims"])), value=VALUES
)
def test_any_value_is_read_or_refused(key, value):
    try:
        read(**{key: value})
    except GadflyError as error:
        assert "\n" not in str(error) and len(str(error)) < 400


def test_who_claims_what():
    def page(**values):
        return page_for(Config("config.json", values), "Grok1ForCausalLM").name

    assert page() == page(residual_moe=False) == page(residual_moe=False, moe_intermediate_size=5) == "grok1"
    assert page(residual_moe=True) == page(moe_intermediate_size=5) == "grok2"
    assert page_for(Config("a.gguf", {"grok.residual_moe": False}, gguf="grok"), "grok").name == "grok1"
    assert page_for(Config("a.gguf", {"grok.residual_moe": True}, gguf="grok"), "grok").name == "grok2"


# --- there and back


def test_descriptions_are_read_back():
    cool = mixer(replace(GROK2, logit_softcap=None), temperature=None)
    for spec in (GROK2, cool, ffn(GROK2, moe=replace(FFN.moe, router_softcap=None))):
        described = grok2.PAGE.describe(spec)
        assert grok2.PAGE.spec(Config("config.json", described)) == spec
        assert near(read_gguf(as_gguf(described))) == near(spec)


def test_grok1_is_described_so_that_vllm_knows_its_names():
    spec = grok1.release_spec(grok1.RELEASED)
    described = grok1.PAGE.describe(spec)
    assert described["moe_intermediate_size"] == 32768
    assert page_for(Config("config.json", described), "Grok1ForCausalLM").spec(Config("", described)) == spec
    assert read_gguf(as_gguf(described)) == spec


def test_a_gguf_file_may_leave_most_to_defaults():
    """llama.cpp's, which are Grok-1's."""
    described = grok2.PAGE.describe(GROK2)
    stated = {
        "attention_multiplier",
        "attn_logit_softcapping",
        "router_logit_softcapping",
        "attn_temperature_len",
        "final_logit_softcapping",
        "embedding_multiplier_scale",
        "output_multiplier_scale",
        "moe_intermediate_size",
        "head_dim",
    }
    spec = read_gguf(as_gguf({name: value for name, value in described.items() if name not in stated}))
    assert near(spec) == near(
        replace(
            ffn(mixer(GROK2, temperature=None), moe=replace(FFN.moe, hidden=32768)),
            embedding_scale=78.38367176906169,
            logit_scale=0.5773502691896257,
            logit_softcap=None,
        )
    )


def test_yarn_keys_of_a_converter_mean_plain_rope():
    keys = {"type": "yarn", "factor": 16.0, "original_context_length": 8192, "yarn_beta_fast": 8.0}
    values = as_gguf(grok2.PAGE.describe(GROK2))
    assert read_gguf(values | {f"grok.rope.scaling.{key}": value for key, value in keys.items()}) == read_gguf(values)
    with pytest.raises(UnsupportedError, match="not 'linear'"):
        read_gguf(values | {"grok.rope.scaling.type": "linear"})


def test_yarn():
    """Numbers of GROK-2's constants, worked out by hand from the ramp between dimensions 17 and 24."""
    rope = yarn(Rope(128, 208533496.0), 16.0, 8192, 8.0, 1.0)
    plain, stretched = (np.array(r.frequencies()) for r in (Rope(128, 208533496.0), rope))
    np.testing.assert_allclose(stretched[:18], plain[:18])
    np.testing.assert_allclose(stretched[[18, 20, 22]], [3.9608237e-3, 1.5035377e-3, 4.5631738e-4], rtol=1e-6)
    np.testing.assert_allclose(stretched[24:], plain[24:] / 16)
    assert rope.magnitude == pytest.approx(1.27726, abs=1e-5)


def test_as_llama_cpp():
    theirs = grok2.as_llama_cpp(GROK2)
    assert theirs.blocks[63].mixer == replace(MIXER, temperature=None)
    assert theirs.blocks[63].ffn == Parallel(Dense(32768, "gelu"), MoE(8, 2, 16384, "gelu", None, True), FFN.scale)
    first = grok1.release_spec(grok1.RELEASED)
    assert grok2.as_llama_cpp(first) == ffn(first, renormalised=True)
    stretched = yarn(MIXER.rope, 16.0, 8192, 8.0)
    assert grok2.as_llama_cpp(GROK2, stretched).blocks[0].mixer == replace(MIXER, temperature=None, rope=stretched)


def test_llama_cpp_wants_heads_as_wide_as_the_model():
    assert grok2.PAGE.notes(GROK2) == grok1.PAGE.notes(grok1.release_spec(grok1.RELEASED)) == ()
    (note,) = grok2.PAGE.notes(mixer(GROK2, head_dim=64))
    assert "(64 × 64 = 4096) to be the model's width (8192)" in note


# --- folders


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    write_release(folder, TINY, random_tensors(TINY, 0))
    return folder


@pytest.fixture
def release(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "grok-2"))


def test_a_folder_is_read_and_exported_whole(release):
    file = open_model(release)
    assert file.page is grok2.PAGE
    assert {out.name: out.shape for out in export(file.weights, file.spec, grok2.PAGE.hf)} == {
        name: whole_shape(kind, TINY) for kind in KINDS for name in names(kind, TINY)
    }


def refused(folder, error=ModelFileError):
    with pytest.raises(error) as caught:
        open_model(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_a_missing_piece(release):
    (release / file_name(7, 3)).unlink()
    assert "has no piece of rank 3, of 8" in refused(release)


def test_a_missing_rank(release):
    """All that is left fits together, and is an eighth too small."""
    for number in (6, 7, 8):
        (release / file_name(number, 7)).unlink()
    assert "has shape" in refused(release)


def test_a_missing_file(release):
    (release / file_name(17, None)).unlink()
    assert "block_sparse_moe.gate.weight' is missing" in refused(release)


def test_no_weights_at_all(release):
    for path in release.glob("*.safetensors"):
        path.unlink()
    assert "holds no .safetensors files" in refused(release, NotFoundError)


def test_a_piece_twice(release):
    (release / "copy-TP-002.safetensors").write_bytes((release / file_name(6, 2)).read_bytes())
    assert "is also in" in refused(release)


def test_a_piece_and_the_whole(release):
    (release / "pytorch_model-00018-TP-common.safetensors").write_bytes((release / file_name(6, 2)).read_bytes())
    assert "is also in" in refused(release)


def test_swapped_files(release):
    """w2's piece of a rank where w1's should be: every name is there, but twice or never."""
    (release / file_name(6, 2)).write_bytes((release / file_name(7, 2)).read_bytes())
    assert "is also in" in refused(release)


def test_a_piece_of_another_shape(release):
    other = {**TINY, "moe_intermediate_size": 96}
    write_release(release.parent / "other", other, random_tensors(other, 0))
    (release / file_name(7, 5)).write_bytes((release.parent / "other" / file_name(7, 5)).read_bytes())
    assert "differ in dtype or shape" in refused(release)


def test_pieces_of_another_model(release):
    config = {**TINY, "moe_intermediate_size": 40}
    (release / "config.json").write_text(json.dumps(config))
    assert "expected (40, 32)" in refused(release)


def test_pieces_are_not_copied_when_opened(release):
    weights = open_model(release).weights
    stack = weights["blocks.0.ffn.moe.down"]
    with Safetensors.open(release / file_name(7, 1)) as file:
        piece = file.array(names(KINDS[7], TINY)[2])
    (part,) = [part.parts[1] for part in stack.parts[2:3]]
    np.testing.assert_array_equal(part.blocks.view(np.uint16), piece)
    assert not part.blocks.flags.owndata


@pytest.mark.parametrize("end", [1, 2])
def test_a_folder_with_its_tokenizer_chats(tmp_path, end):
    """<|separator|> and <|eos|> end an answer, here of a model that says nothing else."""
    config = {**TINY, "vocab_size": 259, "num_hidden_layers": 1}
    tensors = random_tensors(config, 0)
    for name, (array, *_) in tensors.items():
        array[...] = 0 if "post_" in name or name == "lm_head.weight" else 1
    tensors["lm_head.weight"][0][end] = 1
    write_release(tmp_path, config, tensors)
    write_tokenizer(tmp_path)
    llm = gadfly.load(tmp_path, backend="reference")
    expected = [*b"System: Be brief.", None, *b"\n\nHuman: What is <|eos|>?", None, *b"\n\nAssistant:"]
    prompt = llm.prompt_ids([Message("system", "Be brief."), Message("user", " What is <|eos|>?\n")])
    assert prompt == [1 if byte is None else 3 + byte for byte in expected]
    completion = llm.generate(prompt, max_tokens=5, temperature=0.0)
    assert (completion.finish_reason, completion.text) == ("stop", "")
