"""What is derived, what is taken over, and what is refused because it cannot be."""

import json

import pytest

from gadfly.arch import PAGES
from gadfly.convert.sizes import Pattern, Sizes, draw_up, pattern_of, plain_pattern, sizes_for
from gadfly.errors import GadflyError, RequestError
from gadfly.model.cost import Cost
from gadfly.spec import Dense, MoE

NAMES = [page.name for page in PAGES]
MIXED = [name for name in NAMES if isinstance(draw_up(plain_pattern(name), Sizes()).blocks[0].ffn, MoE)]
DENSE = [name for name in NAMES if isinstance(draw_up(plain_pattern(name), Sizes()).blocks[0].ffn, Dense)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [32, 96, 256, 576, 1000, 2048, 6144])
def test_every_width_makes_a_model(name, dim):
    spec = draw_up(plain_pattern(name), Sizes(dim=dim))
    mixer = spec.blocks[0].mixer
    assert spec.dim == dim and len(spec.blocks) == max(2, dim // 64)
    assert mixer.heads % mixer.kv_heads == 0 and mixer.head_dim % 8 == 0
    assert dim - mixer.head_dim < mixer.heads * mixer.head_dim <= dim or dim < mixer.head_dim


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_what_comes(name):
    asked = Sizes(dim=80, layers=3, heads=6, kv_heads=2, head_dim=24, hidden=112, vocab=99, context=77)
    spec = draw_up(plain_pattern(name), asked)
    assert (spec.dim, len(spec.blocks), spec.vocab, spec.context) == (80, 3, 99, 77)
    mixer = spec.blocks[2].mixer
    assert (mixer.heads, mixer.kv_heads, mixer.head_dim, mixer.rope.dim) == (6, 2, 24, 24)
    shapes = dict(spec.shapes())
    assert {shape[-1] for path, shape in shapes.items() if path.endswith(".down")} == {112}


@pytest.mark.parametrize("name", MIXED)
def test_experts(name):
    moe = draw_up(plain_pattern(name), Sizes(experts=5, selected=3)).blocks[0].ffn
    assert (moe.experts, moe.selected) == (5, 3)
    assert draw_up(plain_pattern(name), Sizes(experts=1)).blocks[0].ffn.selected == 1


@pytest.mark.parametrize("name", DENSE)
def test_what_means_nothing_here_is_refused(name):
    with pytest.raises(RequestError, match=f"--experts means nothing to the architecture {name}"):
        draw_up(plain_pattern(name), Sizes(experts=5))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (Sizes(heads=6, kv_heads=4), "--heads 6 cannot share --kv-heads 4 evenly"),
        (Sizes(head_dim=7), "--head-dim is 7; it has to be even"),
        (Sizes(experts=3, selected=4), "--selected 4 is more than the 3 experts"),
        (Sizes(dim=8, heads=16), "--heads 16 are more than the 8 of the width"),
    ],
)
def test_contradictions_name_the_flag(sizes, message):
    with pytest.raises(GadflyError, match=message):
        draw_up(plain_pattern("grok1"), sizes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", [10_000_000, 135_000_000, 1_100_000_000, 20_000_000_000])
def test_so_many_parameters_are_met_within_a_step(name, parameters):
    spec = draw_up(plain_pattern(name), sizes_for(plain_pattern(name), parameters, Sizes(), tied=True))
    count = Cost.of(spec, tied=True).parameters
    assert 0.6 < count / parameters < 1.5


def test_so_many_parameters_exclude_what_they_choose():
    with pytest.raises(RequestError, match="--params chooses --dim and --layers"):
        sizes_for(plain_pattern("llama"), 10**6, Sizes(dim=64), tied=True)
    with pytest.raises(RequestError, match="--params and --like"):
        sizes_for(Pattern(PAGES[0], {"hidden_size": 64}), 10**6, Sizes(), tied=True)


def test_a_token_meets_its_own_experts():
    spec = draw_up(plain_pattern("grok1"), Sizes(dim=64, layers=3, hidden=32, experts=8, selected=2))
    total = Cost.of(spec, tied=True).parameters
    assert Cost.of(spec, tied=True).active_parameters == total - 3 * 6 * 3 * 32 * 64
    dense = draw_up(plain_pattern("llama"), Sizes())
    assert Cost.of(dense, tied=False).active_parameters == Cost.of(dense, tied=False).parameters


LLAMA_3 = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 2048,
    },
}


def test_like_a_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3))
    pattern = pattern_of(tmp_path / "config.json")
    assert pattern.page.name == "llama" and not pattern.tied
    spec = draw_up(pattern, Sizes())
    assert (spec.vocab, spec.dim, len(spec.blocks), spec.norm_eps) == (1000, 64, 3, 1e-6)
    rope = spec.blocks[0].mixer.rope
    assert rope.theta == 500000.0 and len(rope.scaling) == 8 and max(rope.scaling) == 8
    changed = draw_up(pattern, Sizes(layers=7, heads=8))
    assert len(changed.blocks) == 7
    assert (changed.blocks[0].mixer.heads, changed.blocks[0].mixer.head_dim) == (8, 16)
    assert changed.blocks[0].mixer.rope == rope


def test_like_what_is_no_model(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    with pytest.raises(GadflyError, match="architectures is None"):
        pattern_of(tmp_path / "config.json")
