"""Tensors are what CPython's unpickler makes of their files; folders that are not what they say are refused."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gadfly.arch.grok1_release import Hyperparameters, config_json, release_layout
from gadfly.errors import GadflyError, ModelFileError, NotFoundError
from gadfly.weights.grok_release import Float32Tensor, Int8Tensor, open_release
from gadfly.weights.release_pickler import pickled
from gadfly.weights.release_writer import write_release
from release_pickles import BFLOAT16, FLOAT32, INT8, Array, dumps, unpickle, weight

DATA = Path(__file__).parents[2] / "data"

TINY = Hyperparameters(
    vocab_size=10, emb_size=6, key_size=4, num_q_heads=3, num_kv_heads=1, num_layers=2, num_experts=3, widening_factor=2
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "tiny"
    rng = np.random.default_rng(0)
    tensors = []
    for tensor in release_layout(TINY):
        if tensor.kind == "float32":
            tensors.append((tensor.name, rng.standard_normal(tensor.shape, np.float32)))
        else:
            *experts, _, columns = tensor.shape
            codes = rng.integers(-128, 128, tensor.shape, np.int8)
            tensors.append((tensor.name, (codes, rng.integers(0, 2**16, (*experts, 2, columns), np.uint16))))
    write_release(folder, TINY, tensors)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A sound checkpoint of 26 files, to be spoilt."""
    return Path(shutil.copytree(written, tmp_path / "model"))


def file(folder, index):
    return folder / "ckpt-0" / f"tensor{index:05d}_000"


def refuses(folder, message, error=ModelFileError):
    with pytest.raises(error, match=message) as caught:
        open_release(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 900


# --- sound checkpoints


@pytest.mark.parametrize("checkpoint", ["tiny-grok-1", "tiny-grok-1-12layer"])
def test_every_tensor_is_what_unpickling_gives(checkpoint):
    folder = DATA / checkpoint
    release = open_release(folder)
    files = sorted((folder / "ckpt-0").iterdir())
    assert len(files) == len(release.layout) == 2 + 12 * release.hyperparameters.num_layers
    assert release.tokenizer_path is None
    for path, (name, expected) in zip(files, release.layout.items(), strict=True):
        tensor, unpickled = release.tensor(name), unpickle(path.read_bytes())
        assert (tensor.path, tensor.index, tensor.name) == (path, expected.index, name)
        if isinstance(tensor, Float32Tensor):
            same_bits(tensor.array, unpickled)
        else:
            same_bits(tensor.codes, unpickled[0])
            same_bits(tensor.scales, unpickled[1])
            assert tensor.groups == (2 if name.endswith(("linear_1/w", "attention/linear/w")) else 1)


def same_bits(view, expected):
    assert (view.dtype, view.shape) == (expected.dtype, expected.shape)
    assert view.flags.c_contiguous and not view.flags.writeable and not view.flags.owndata
    assert view.tobytes() == expected.tobytes()


def test_tensors_outlive_the_release_and_its_files(written, tmp_path):
    copy = Path(shutil.copytree(written, tmp_path / "model"))
    release = open_release(str(copy))
    tensor = release.tensor("transformer/decoder_layer_1/moe/linear_1/w")
    assert isinstance(tensor, Int8Tensor)
    before = tensor.codes.copy(), tensor.scales.copy()
    release.release_pages()
    del release
    shutil.rmtree(copy)
    assert (tensor.codes == before[0]).all()
    assert (tensor.scales == before[1]).all()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_any_number_of_groups_that_divides_the_input(folder, groups):
    data = dumps(weight(Array(INT8, (6, 4)), Array(BFLOAT16, (groups, 4))))
    file(folder, 5).write_bytes(data)
    tensor = open_release(folder).tensor("transformer/decoder_layer_0/multi_head_attention/key/w")
    assert isinstance(tensor, Int8Tensor)
    assert tensor.groups == groups


def test_a_checkpoint_of_newer_numpy(folder):
    file(folder, 1).write_bytes(dumps(Array(FLOAT32, (6,)), numpy_core="numpy._core.multiarray"))
    assert isinstance(open_release(folder).tensor("language_model/rms_norm/scale"), Float32Tensor)


def test_a_tokenizer_and_other_files_beside_the_tensors(folder):
    (folder / "tokenizer.model").write_bytes(b"x")
    (folder / "ckpt-0" / ".DS_Store").touch()
    (folder / "ckpt-0" / "README").touch()
    assert open_release(folder).tokenizer_path == folder / "tokenizer.model"


def test_folders_and_files_may_be_links_that_stay_inside(folder, tmp_path):
    (folder / "blobs").mkdir()
    for index in (0, 7):
        file(folder, index).rename(folder / "blobs" / str(index))
        file(folder, index).symlink_to(f"../blobs/{index}")
    (tmp_path / "link").symlink_to(folder)
    assert len(open_release(tmp_path / "link").layout) == 26


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux")  # noqa: PTH110
def test_files_are_open_as_long_as_their_tensors_live(written):
    def opened():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = opened()
    release = open_release(written)
    assert opened() == before
    tensors = [release.tensor(name) for name in release.layout]
    del tensors
    assert opened() == before


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")  # noqa: PTH110
def test_opening_reads_headers_only_and_pages_go_back(tmp_path):
    """Sparse files stand for a model of several gigabytes."""
    large = replace(TINY, vocab_size=2**24, emb_size=64, key_size=16)  # an embedding of 4 GiB
    write_sparse(tmp_path / "large", large)
    before = resident_file_bytes()
    release = open_release(tmp_path / "large")
    tensor = release.tensor("transformer/decoder_layer_0/moe/linear/w")
    embedding = release.tensor("language_model/in_out_embed/embeddings")
    assert isinstance(tensor, Int8Tensor) and isinstance(embedding, Float32Tensor)
    assert embedding.array.nbytes == 2**32
    assert embedding.array[-1, -1] == 0
    assert resident_file_bytes() < before + 16 * 2**20
    assert embedding.array[: 2**18].max() == 0
    assert resident_file_bytes() > before + 50 * 2**20
    release.release_pages()
    assert resident_file_bytes() < before + 16 * 2**20


def test_the_real_release_opens(tmp_path):
    """All 770 files of it, in their real sizes, as holes on the disk."""
    write_sparse(tmp_path / "grok-1", Hyperparameters())
    (tmp_path / "grok-1" / "config.json").unlink()
    files = sorted((tmp_path / "grok-1" / "ckpt-0").iterdir())
    assert (len(files), sum(path.stat().st_size for path in files)) == (770, 318_239_886_140)
    release = open_release(tmp_path / "grok-1")
    down = release.tensor("transformer/decoder_layer_63/moe/linear_1/w")
    assert isinstance(down, Int8Tensor)
    assert (down.path, down.codes.shape, down.scales.shape) == (files[723], (8, 32768, 6144), (8, 8, 6144))
    assert not down.codes[7, -1].any() and not down.scales[7, -1].any()


def write_sparse(folder, hyperparameters):
    (folder / "ckpt-0").mkdir(parents=True)
    (folder / "config.json").write_text(config_json(hyperparameters))
    for tensor in release_layout(hyperparameters):
        groups = 8 if tensor.name.endswith(("linear_1/w", "attention/linear/w")) else 1
        scales = [("bfloat16", (*tensor.shape[:-2], groups, tensor.shape[-1]))] if tensor.kind == "int8" else []
        with (folder / "ckpt-0" / tensor.file_name).open("wb") as opened:
            for part in pickled((tensor.kind, tensor.shape), *scales):
                if isinstance(part, bytes):
                    opened.write(part)
                else:
                    opened.seek(part, os.SEEK_CUR)


def resident_file_bytes():
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssFile"))


def test_a_tensor_that_no_grok_has(written):
    release = open_release(written)
    with pytest.raises(ModelFileError, match=r"a Grok-1 has no tensor 'blk\.0'; is the architecture right"):
        release.tensor("blk.0")


# --- folders that are not what they seem


def test_no_such_folder(tmp_path):
    refuses(tmp_path / "missing", "missing holds no ckpt-0; give the folder that ckpt-0/tensor00000_000", NotFoundError)
    refuses(tmp_path, "holds no ckpt-0", NotFoundError)
    (tmp_path / "ckpt-0").touch()
    refuses(tmp_path, "ckpt-0 cannot be read as a folder: .*Not a directory")
    refuses("a\0b", "cannot be read as a folder")


def test_missing_and_surplus_files(folder):
    file(folder, 9).rename(file(folder, 26))
    refuses(
        folder, "config.json says 2 layers, so 26 files, but ckpt-0 holds 26; tensor00009_000 is missing, correct conf"
    )
    file(folder, 26).rename(file(folder, 9))
    shutil.copy(file(folder, 9), file(folder, 27))
    refuses(folder, "so 26 files, but ckpt-0 holds 27; tensor00027_000 is one too many, correct config.json or fetch")
    file(folder, 27).rename(folder / "ckpt-0" / "tensor00009_001")  # of a second host
    refuses(folder, "tensor00009_001 is one too many")
    shutil.rmtree(folder / "ckpt-0")
    (folder / "ckpt-0").mkdir()
    refuses(folder, "but ckpt-0 holds 0; tensor00000_000 is missing")


def test_a_config_of_another_model(folder):
    (folder / "config.json").write_text(config_json(replace(TINY, num_layers=3)))
    refuses(folder, "config.json says 3 layers, so 38 files, but ckpt-0 holds 26; tensor00026_000 is missing")
    (folder / "config.json").write_text(config_json(replace(TINY, vocab_size=11)))
    refuses(
        folder,
        r"tensor00000_000 holds float32 of shape \(10, 6\); expected language_model/in_out_embed/embeddings, float32 "
        r"of shape \(11, 6\); files are swapped, or config.json is of another model",
    )
    (folder / "config.json").write_text("{}")
    refuses(folder, "lacks vocab_size")
    (folder / "config.json").unlink()
    refuses(
        folder,
        "without a config.json this is Grok-1 with 64 layers, so 770 files, but ckpt-0 holds 26; tensor00026_000",
    )


@pytest.mark.parametrize(("a", "b"), [(0, 1), (2, 3), (1, 3), (6, 7), (12, 13)])
def test_swapped_files(folder, a, b):
    file(folder, a).rename(folder / "aside")
    file(folder, b).rename(file(folder, a))
    (folder / "aside").rename(file(folder, b))
    refuses(folder, rf"tensor{a:05d}_000 holds .* of shape .*; expected .*; files are swapped")


def test_a_tensor_of_the_other_kind(folder):
    file(folder, 13).write_bytes(dumps(weight(Array(INT8, (6, 3)), Array(BFLOAT16, (1, 3)))))
    refuses(folder, r"holds int8 of shape \(6, 3\); expected .*/router/w, float32 of shape \(6, 3\)")
    file(folder, 13).write_bytes(dumps(Array(FLOAT32, (6, 3))))
    file(folder, 5).write_bytes(dumps(Array(FLOAT32, (6, 4))))
    refuses(folder, r"holds float32 of shape \(6, 4\); expected .*/key/w, int8 of shape \(6, 4\)")


@pytest.mark.parametrize("shape", [(4,), (4, 4), (5, 4), (0, 4), (2, 3), (1, 2, 4), (7, 4), (12, 4)])
def test_scales_that_do_not_fit(folder, shape):
    file(folder, 5).write_bytes(dumps(weight(Array(INT8, (6, 4)), Array(BFLOAT16, shape))))
    refuses(
        folder,
        r"tensor00005_000(: opcode BUILD|.* holds scales of shape .*expected \(6|.*groups', 4\), groups dividing 6)",
    )


@pytest.mark.parametrize("index", [0, 2, 25])
def test_damaged_files(folder, index):
    data = file(folder, index).read_bytes()
    file(folder, index).write_bytes(data[:-1])
    refuses(folder, rf"tensor{index:05d}_000: the file ends at byte {len(data) - 1}|frame")
    file(folder, index).write_bytes(data + b".")
    refuses(folder, rf"tensor{index:05d}_000: opcode STOP .* the file goes on")
    file(folder, index).write_bytes(b"")
    refuses(folder, rf"tensor{index:05d}_000 is empty; expected a tensor of the Grok-1 release")


@pytest.mark.parametrize("name", ["ckpt-0/tensor00004_000", "config.json", "tokenizer.model"])
def test_things_that_are_no_files(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    refuses(folder, f"{name} is not a file")
    (folder / name).rmdir()
    os.mkfifo(folder / name)
    refuses(folder, f"{name} is not a file")


@pytest.mark.parametrize("name", ["ckpt-0/tensor00004_000", "config.json", "tokenizer.model", "ckpt-0"])
def test_links_that_lead_out(folder, tmp_path, name):
    outside = tmp_path / "out\nside"
    if (folder / name).exists():
        (folder / name).rename(outside)
    else:
        outside.touch()
    (folder / name).symlink_to(outside)
    refuses(folder, rf"{name}.* leads to '[^\n]+', outside of the model's folder; put the file itself there")
    (folder / name).unlink()
    (folder / name).symlink_to("nothing")
    refuses(folder, "is missing or a link to nothing|holds no ckpt-0", GadflyError)
    (folder / name).unlink()
    (folder / name).symlink_to(Path(name).name)
    refuses(folder, "cannot be read")


def test_files_that_may_not_be_read(folder):
    file(folder, 3).chmod(0)
    if os.access(file(folder, 3), os.R_OK):
        pytest.skip("root may read everything")
    refuses(folder, "cannot be read: .*Permission denied.*; check the path and its permissions")


def test_a_file_that_changes_after_opening(folder):
    release = open_release(folder)
    file(folder, 1).write_bytes(dumps(Array(FLOAT32, (7,))))
    with pytest.raises(ModelFileError, match=r"tensor00001_000 holds float32 of shape \(7,\)"):
        release.tensor("language_model/rms_norm/scale")
    file(folder, 1).unlink()
    with pytest.raises(ModelFileError, match="is missing"):
        release.tensor("language_model/rms_norm/scale")
