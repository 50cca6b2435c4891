"""A new Grok-1 in xAI's layout is one in every respect but what it knows."""

import numpy as np
import pytest

import gadfly
from gadfly.convert import fresh_release
from gadfly.convert.fresh_release import release_hyperparameters, write_fresh_release
from gadfly.convert.sizes import Sizes, draw_up, pattern_of, plain_pattern
from gadfly.errors import RequestError
from gadfly.ops.reference import Reference
from gadfly.weight import Int8
from gadfly.weights.grok_release import Int8Tensor, open_release
from gadfly.weights.load import open_model

SIZES = Sizes(dim=64, layers=11, heads=4, kv_heads=2, hidden=256, vocab=100, context=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("new") / "grok"
    write_fresh_release(path, release_hyperparameters(draw_up(plain_pattern("grok1"), SIZES)), 3, lambda *_: None)
    return path


@pytest.mark.parametrize("hidden", range(8, 400, 8))
@pytest.mark.parametrize("dim", [64, 96, 1000, 6144])
def test_every_width_of_experts_has_a_widening_factor(dim, hidden):
    spec = draw_up(plain_pattern("grok1"), Sizes(dim=dim, hidden=hidden))
    assert release_hyperparameters(spec).ffn_size == hidden


def test_what_the_release_cannot_say():
    with pytest.raises(RequestError, match="--hidden is 100; the release has multiples of 8"):
        release_hyperparameters(draw_up(plain_pattern("grok1"), Sizes(hidden=100)))
    for name in ("llama", "mixtral"):
        with pytest.raises(RequestError, match="--release is for --arch grok1"):
            release_hyperparameters(draw_up(plain_pattern(name), Sizes()))


def test_it_runs_on_both_backends(folder):
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    exact = gadfly.load(folder, backend="reference")
    assert exact.spec == draw_up(plain_pattern("grok1"), SIZES)
    logits = exact.logits(ids)
    assert np.isfinite(logits).all() and 0.2 < logits.std() < 2
    native = gadfly.load(folder, threads=1).logits(ids)
    assert np.sqrt(np.mean(np.square(native - logits))) < 0.2 * logits.std()


def test_weights_are_codes_times_scales(folder):
    model = open_model(folder)
    for path in ("blocks.10.ffn.down", "blocks.2.mixer.output", "blocks.0.mixer.query"):
        weight = model.weights[path]
        assert isinstance(weight, Int8)
        codes = np.array(weight.codes, np.float32)
        scales = (weight.scales.astype(np.uint32) << 16).view(np.float32)
        groups = scales.shape[-2]
        cut = codes.reshape(*codes.shape[:-2], groups, -1, codes.shape[-1])
        expected = (cut * scales[..., :, None, :]).reshape(codes.shape)
        np.testing.assert_array_equal(Reference().place(weight), np.swapaxes(expected, -1, -2))


def test_weights_look_like_those_of_a_model(folder):
    release = open_release(folder)
    groups = {}
    for name in release.layout:
        tensor = release.tensor(name)
        if isinstance(tensor, Int8Tensor):
            groups[name.split("/")[-2]] = tensor.groups
            assert abs(tensor.codes.mean()) < 2 and tensor.codes.std() == pytest.approx(2**0.5 * 23, rel=0.15)
            assert -126 <= tensor.codes.min() < -60 and 60 < tensor.codes.max() <= 126
            rows = tensor.codes.reshape(-1, tensor.codes.shape[-1])
            assert len(np.unique(rows, axis=0)) == len(rows)
    assert groups == {"query": 1, "key": 1, "value": 1, "linear": 8, "linear_1": 8, "linear_v": 1}
    weights = open_model(folder).weights
    for path, gain in (("blocks.4.mixer.query", 1), ("blocks.4.ffn.down", 22**-0.5), ("blocks.4.ffn.gate", 1)):
        weight = Reference().place(weights[path])
        assert weight.std() == pytest.approx(gain * weight.shape[-1] ** -0.5, rel=0.1)


def test_pieces_differ(monkeypatch, tmp_path):
    """Also where a tensor is made of many, from a pool that is much smaller."""
    monkeypatch.setattr(fresh_release, "PIECE", 1024)
    monkeypatch.setattr(fresh_release, "POOL", 5 * 1024 + 1)
    hyperparameters = release_hyperparameters(draw_up(plain_pattern("grok1"), Sizes(dim=64, layers=1, vocab=10)))
    seen: list[tuple[int, int]] = []
    write_fresh_release(tmp_path / "grok", hyperparameters, 0, lambda *step: seen.append(step))
    weight = open_model(tmp_path / "grok").weights["blocks.0.ffn.gate"]
    rows = weight.codes.reshape(-1, weight.codes.shape[-1])
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert seen[-1][0] == seen[-1][1] and len(seen) > 100


def test_seeds(folder, tmp_path):
    hyperparameters = release_hyperparameters(draw_up(plain_pattern("grok1"), SIZES))
    for seed in (3, 4):
        write_fresh_release(tmp_path / str(seed), hyperparameters, seed, lambda *_: None)
    files = sorted(path.name for path in (folder / "ckpt-0").iterdir())
    same = [(folder / "ckpt-0" / f).read_bytes() == (tmp_path / "3" / "ckpt-0" / f).read_bytes() for f in files]
    assert len(files) == 2 + 12 * 11 and all(same)
    gates = [(tmp_path / seed / "ckpt-0" / "tensor00002_000").read_bytes() for seed in ("3", "4")]
    assert gates[0] != gates[1]


def test_another_is_like_it(folder):
    for path in (folder, folder / "config.json"):
        pattern = pattern_of(path)
        assert pattern.page.name == "grok1" and pattern.tied
        assert draw_up(pattern, Sizes()) == draw_up(plain_pattern("grok1"), SIZES)
    assert draw_up(pattern, Sizes(experts=3)).blocks[0].ffn.experts == 3
