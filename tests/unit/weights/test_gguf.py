"""Sound files are read as the `gguf` package reads them; unsound ones are refused in one line that says why."""

import os
import tracemalloc
from struct import pack

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.quant import FORMATS
from gadfly.weight import Plain, Quantised
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_cursor import WINDOW
from gadfly.weights.gguf_writer import write_gguf

U8, U32, F32, BOOL, STRING, ARRAY = 0, 4, 6, 7, 8, 9  # types of metadata


def text(value):
    encoded = value if isinstance(value, bytes) else value.encode()
    return pack("<Q", len(encoded)) + encoded


def tensor(name="a", shape=(2, 4), kind=0, offset=0):
    return text(name) + pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, offset)


def header(tensors=(), keys=(), version=3, tensor_count=None, key_count=None):
    counts = len(tensors) if tensor_count is None else tensor_count, len(keys) if key_count is None else key_count
    return b"GGUF" + pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)


def with_data(head, size=4096):
    return head + bytes(-len(head) % 32) + bytes(size)


@pytest.fixture
def opened(tmp_path):
    def open_bytes(data):
        (tmp_path / "a.gguf").write_bytes(data)
        return GGUF.open(tmp_path / "a.gguf")

    return open_bytes


# --- sound files


def write_with_gguf(path, **arguments):
    writer = gguf.GGUFWriter(path, "llama", **arguments)
    writer.add_uint32("llama.block_count", 2)
    writer.add_float64("double", 0.1)
    writer.add_int8("small", -3)
    writer.add_bool("flag", True)
    writer.add_token_list(["a", "Ġb", "", "ü" * 200])
    writer.add_token_types([1, 1, 3, 4])
    writer.add_array("floats", [0.5, 1.5])
    writer.add_array("flags", [True, False])
    rng = np.random.default_rng(0)
    data = {}
    for name, known in FORMATS.items():
        blocks = rng.integers(0, 256, (2, 3, known.row_bytes(256)), np.uint8)
        data[name] = blocks
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, blocks.view(np.float32) if name == "F32" else blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return data


def check_against_gguf(file, data):
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["llama.block_count"] == 2
    assert file.metadata["double"] == 0.1
    assert file.metadata["small"] == -3
    assert file.metadata["flag"] is True
    assert file.metadata["tokenizer.ggml.tokens"] == ["a", "Ġb", "", "ü" * 200]
    assert file.metadata["tokenizer.ggml.token_type"].tolist() == [1, 1, 3, 4]
    assert file.metadata["floats"].tolist() == [0.5, 1.5]
    assert file.metadata["flags"].tolist() == [True, False]
    assert set(file.tensors) == set(data)
    for name, blocks in data.items():
        info, weight = file.tensors[name], file.weight(name)
        assert (info.name, info.format, info.shape, info.size) == (name, name, (2, 3, 256), blocks.size)
        assert weight.shape == info.shape
        if name == "F32":
            assert isinstance(weight, Plain)
            assert (weight.array.view(np.uint8) == blocks).all()
        else:
            assert isinstance(weight, Quantised)
            assert weight.format == name
            assert (weight.blocks == blocks.reshape(6, -1)).all()


def test_a_file_of_the_gguf_package(tmp_path):
    data = write_with_gguf(tmp_path / "a.gguf")
    with GGUF.open(str(tmp_path / "a.gguf")) as file:
        assert file.paths == (tmp_path / "a.gguf",)
        check_against_gguf(file, data)


def test_weights_are_read_only_views_that_outlive_the_file(tmp_path):
    blocks = np.arange(68, dtype=np.uint8).reshape(2, 34)
    write_gguf(tmp_path / "a.gguf", {}, {"a": ("Q8_0", (2, 32), blocks), "v": ("F32", (3,), np.ones(3, np.float32))})
    with GGUF.open(tmp_path / "a.gguf") as file:
        matrix, vector = file.weight("a"), file.weight("v")
        file.release()
    for array in (matrix.blocks, vector.array):
        assert not array.flags.writeable
        assert not array.flags.owndata
        assert array.flags.aligned
    assert (matrix.blocks == blocks).all()
    assert vector.array.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="closed"):
        file.weight("a")


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux")  # noqa: PTH110
def test_release_gives_memory_back(tmp_path):
    size = 32 * 2**20
    write_gguf(tmp_path / "a.gguf", {}, {"a": ("F32", (size // 4,), np.ones(size // 4, np.float32))})
    file = GGUF.open(tmp_path / "a.gguf")
    weight = file.weight("a")
    before = resident_file_bytes()
    assert weight.array.sum() == size // 4
    assert resident_file_bytes() > before + 0.9 * size
    file.release()
    assert resident_file_bytes() < before + 0.1 * size
    assert weight.array.sum() == size // 4


def resident_file_bytes():
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssFile"))


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_alignment_moves_the_data(opened, alignment):
    head = header([tensor(offset=alignment)], [text("general.alignment") + pack("<II", U32, alignment)])
    data = head + bytes(-len(head) % alignment) + bytes(alignment) + np.arange(8, dtype="<f4").tobytes()
    assert opened(data).weight("a").array.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_version_2_and_a_file_without_tensors(opened):
    assert opened(with_data(header([tensor()], version=2))).weight("a").shape == (2, 4)
    assert dict(opened(header()).tensors) == {}


def test_metadata_is_a_mapping(opened):
    metadata = opened(header(keys=[text("k") + pack("<IIQ", ARRAY, STRING, 1) + text("x")])).metadata
    assert (list(metadata), len(metadata), "k" in metadata, "z" in metadata) == (["k"], 1, True, False)
    assert metadata.get("z", 5) == 5
    assert metadata["k"] == ["x"]
    with pytest.raises(KeyError):
        metadata["z"]


def string_array(strings):
    return text("k") + pack("<IIQ", ARRAY, STRING, len(strings)) + b"".join(map(text, strings))


some_text = st.one_of(st.text(max_size=20), st.text("\0aÿ", max_size=12), st.text(min_size=250, max_size=270))


@given(strings=st.lists(some_text), repeat=st.sampled_from([1, 1, 40, 900]))
def test_any_strings_are_found(strings, repeat, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "strings.gguf"
    path.write_bytes(header(keys=[string_array(strings * repeat), text("after") + pack("<IB", U8, 7)]))
    metadata = GGUF.open(path).metadata
    assert metadata["k"] == strings * repeat
    assert metadata["after"] == 7


@pytest.mark.parametrize("long", [255, 256, 65535, 65536, 3 * WINDOW])
def test_long_strings_among_short_ones(opened, long):
    strings = ["a", "bc", "x" * long, *["Ġthe"] * 20_000, "y" * long, "", ""]
    assert opened(header(keys=[string_array(strings)])).metadata["k"] == strings


# --- split files


@pytest.fixture
def split(tmp_path):
    data = write_with_gguf(tmp_path / "m.gguf", split_max_tensors=6)
    return [tmp_path / f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)], data


def edit(path, old, new):
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


def split_key(name, value):
    return text(f"split.{name}") + pack("<IH", 2, value)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_any_part_opens_all(split, part):
    paths, data = split
    with GGUF.open(paths[part]) as file:
        assert file.paths == tuple(paths)
        assert {info.part for info in file.tensors.values()} == {0, 1, 2}
        assert not any(key.startswith("split.") for key in file.metadata)
        check_against_gguf(file, data)
        file.release()


def test_parts_may_be_links_to_files_of_other_names(split, tmp_path):
    paths, data = split
    (tmp_path / "blobs").mkdir()
    for i, path in enumerate(paths):
        path.rename(tmp_path / "blobs" / str(i))
        path.symlink_to(tmp_path / "blobs" / str(i))
    check_against_gguf(GGUF.open(paths[1]), data)


def test_a_missing_part(split):
    paths, _ = split
    paths[1].unlink()
    with pytest.raises(
        NotFoundError, match=r"m-00002-of-00003.gguf: this part of the model is missing; put all 3 parts"
    ):
        GGUF.open(paths[2])


def test_a_part_under_another_name(split):
    paths, _ = split
    other = paths[1].rename(paths[1].with_name("other.gguf"))
    with pytest.raises(
        ModelFileError, match="says that it is part 2 of 3, but its name does not; name the parts other-00001"
    ):
        GGUF.open(other)


def test_parts_that_swapped_names(split):
    paths, _ = split
    paths[1].rename(paths[1].with_name("x"))
    paths[2].rename(paths[1])
    paths[1].with_name("x").rename(paths[2])
    with pytest.raises(
        ModelFileError, match=r"m-00002-of-00003.gguf: split.no is 2 and split.count 3; expected 1 and 3"
    ):
        GGUF.open(paths[0])


def test_parts_of_different_models(split):
    paths, _ = split
    paths[1].write_bytes(paths[0].read_bytes())
    edit(paths[1], split_key("no", 0), split_key("no", 1))
    with pytest.raises(ModelFileError, match=r"tensor 'F32' is also in m-00001-of-00003.gguf; the parts do not belong"):
        GGUF.open(paths[0])


def test_parts_with_too_few_tensors(split):
    paths, _ = split
    count = text("split.tensors.count") + pack("<I", 5)
    edit(paths[0], count + pack("<i", len(FORMATS)), count + pack("<i", 99))
    with pytest.raises(ModelFileError, match=f"hold {len(FORMATS)} tensors, but split.tensors.count is 99"):
        GGUF.open(paths[0])


# --- files that are not what they say

HUGE = 2**60
LONG_KEY = pack("<Q", 65536) + b"k" * 65536
SCALAR = pack("<II", U32, 1)


def key(value, name="k"):
    return header(keys=[text(name) + value])


UNSOUND = {
    "empty": (b"", "is empty; expected a GGUF file"),
    "a web page": (b"<!DOCTYPE html>", r"is not a GGUF file: it begins with b'<!DO'; expected b'GGUF'"),
    "short": (b"GG", "is not a GGUF file"),
    "only magic": (b"GGUF", "the version takes 4 bytes at offset 4, but only 0 are left"),
    "no counts": (header()[:20], "the number of metadata keys takes 8 bytes at offset 16, but only 4 are left"),
    "version 1": (header(version=1), "is GGUF version 1; expected 2 or 3"),
    "version 4": (header(version=4), "is GGUF version 4; expected 2 or 3"),
    "big-endian": (b"GGUF" + pack(">IQQ", 3, 0, 0), "is big-endian; convert it"),
    "many keys": (header(key_count=HUGE), f"the number of metadata keys is {HUGE}; expected at most 65536"),
    "fewer keys": (header(key_count=3), "the length of metadata key 0 takes 8 bytes"),
    "many tensors": (header(tensor_count=HUGE), f"the number of tensors is {HUGE}; expected at most 131072"),
    "fewer tensors": (header(tensor_count=2), "the length of the name of tensor 0 takes 8 bytes"),
    "long key": (header(keys=[LONG_KEY + SCALAR]), "metadata key 0 has a length of 65536; expected 1 to 65535 bytes"),
    "huge key": (header(keys=[pack("<Q", HUGE)]), f"metadata key 0 has a length of {HUGE}"),
    "empty key": (key(SCALAR, ""), "metadata key 0 has a length of 0"),
    "cut key": (header(keys=[pack("<Q", 9) + b"k"]), "metadata key 0 takes 9 bytes at offset 32, but only 1 are left"),
    "key of bytes": (key(SCALAR, b"a\xff"), "metadata key 0 is not UTF-8 at offset 33"),
    "key twice": (header(keys=[text("k") + SCALAR] * 2), "metadata key 'k' appears twice"),
    "key of lines": (header(keys=[text("a\nb") + SCALAR] * 2), r"metadata key 'a\\nb' appears twice"),
    "key of type 13": (key(pack("<I", 13)), "metadata 'k' has the unknown type 13; expected 0 to 12"),
    "elements of type 77": (key(pack("<IIQ", ARRAY, 77, 1)), "metadata 'k' has the unknown type 77"),
    "cut scalar": (key(pack("<IH", U32, 1)), "metadata 'k' takes 4 bytes at offset 37, but only 2 are left"),
    "huge string": (
        key(pack("<IQ", STRING, HUGE)),
        f"metadata 'k' takes {HUGE} bytes at offset 45, but only 0 are left",
    ),
    "huge array": (key(pack("<IIQ", ARRAY, F32, 2**63)), f"metadata 'k' takes {2**65} bytes"),
    "many strings": (key(pack("<IIQ", ARRAY, STRING, HUGE)), f"the length of metadata 'k' is {HUGE}; expected at most"),
    "fewer strings": (key(pack("<IIQ", ARRAY, STRING, 3) + text("a")), "metadata 'k' takes 8 bytes at offset"),
    "huge strings": (key(pack("<IIQQ", ARRAY, STRING, 1, 2**64 - 1)), f"metadata 'k' takes {2**64 - 1} bytes"),
    "cut strings": (key(pack("<IIQ", ARRAY, STRING, 2) + text("abc") * 2)[:-1], "metadata 'k' takes 22 bytes"),
    "nested arrays": (key(pack("<IIQ", ARRAY, ARRAY, 1)), "metadata 'k' is an array of arrays"),
    "deeply nested": (key(pack("<IIQ", ARRAY, ARRAY, 1) * 10_000), "metadata 'k' is an array of arrays"),
    "alignment 0": (key(pack("<II", U32, 0), "general.alignment"), "general.alignment is 0; expected a power of two"),
    "alignment 4": (key(pack("<II", U32, 4), "general.alignment"), "general.alignment is 4; expected a power of two"),
    "alignment 48": (
        key(pack("<II", U32, 48), "general.alignment"),
        "general.alignment is 48; expected a power of two",
    ),
    "alignment of text": (
        key(pack("<I", STRING) + text("32"), "general.alignment"),
        "'general.alignment' is not an int",
    ),
    "alignment of truth": (key(pack("<IB", BOOL, 1), "general.alignment"), "'general.alignment' is not an int"),
    "split of text": (key(pack("<I", STRING) + text("2"), "split.count"), "'split.count' is not an int"),
    "name too long": (header([pack("<Q", HUGE)]), f"the name of tensor 0 has a length of {HUGE}"),
    "no dimensions": (header([tensor(shape=())]), "tensor 'a' has 0 dimensions; expected 1 to 4"),
    "many dimensions": (header([tensor(shape=(1,) * 5)]), "tensor 'a' has 5 dimensions; expected 1 to 4"),
    "huge dimensions": (header([text("a") + pack("<I", 2**32 - 1)]), "tensor 'a' has 4294967295 dimensions"),
    "zero dimension": (header([tensor(shape=(2, 0))]), r"tensor 'a' has the shape \(2, 0\); expected no zeros"),
    "overflowing shape": (with_data(header([tensor(shape=(2**32, 2**32, 4))])), "tensor 'a' ends at byte"),
    "unknown type": (header([tensor(kind=99)]), "tensor 'a': the unknown type 99 cannot be read; take a file in F32"),
    "type without decoder": (header([tensor(kind=16)]), r"tensor 'a': IQ2_XXS \(type 16\) cannot be read"),
    "parts of blocks": (header([tensor(shape=(2, 40), kind=8)]), "tensor 'a': a row of 40 elements cannot be Q8_0"),
    "crooked offset": (with_data(header([tensor(offset=8)])), "tensor 'a' is at offset 8; expected a multiple of 32"),
    "distant offset": (with_data(header([tensor(offset=2**63)])), "tensor 'a' ends at byte"),
    "tensor twice": (with_data(header([tensor(), tensor(offset=32)])), "tensor 'a' appears twice"),
    "overlap": (
        with_data(header([tensor("b", (2, 8), offset=32), tensor("c", (8, 8))])),
        "tensors 'c' and 'b' overlap; expected them apart",
    ),
    "cut data": (with_data(header([tensor()]), 31), "tensor 'a' ends at byte 128, but the file at 127"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_files_are_refused_before_anything_is_allocated(opened, name, tmp_path):
    data, message = UNSOUND[name]
    tracemalloc.start()
    with pytest.raises(ModelFileError, match=message) as caught:
        opened(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(tmp_path / "a.gguf") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 2**20


def test_what_we_lack_is_told_apart_from_damage(opened):
    for name in ("version 4", "big-endian", "unknown type", "type without decoder", "parts of blocks", "nested arrays"):
        with pytest.raises(UnsupportedError):
            opened(UNSOUND[name][0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pack("<I", STRING) + text(b"a\xffb"), "metadata 'k' is not UTF-8 at offset 46"),
        (pack("<IIQ", ARRAY, STRING, 1) + text(b"a\xffb"), "metadata 'k' holds a string that is not UTF-8"),
        (pack("<IB", BOOL, 2), "metadata 'k' holds a truth value other than 0 and 1"),
        (pack("<IIQBB", ARRAY, BOOL, 2, 1, 255), "metadata 'k' holds a truth value other than 0 and 1"),
    ],
)
def test_damaged_values_are_found_when_they_are_asked_for(opened, value, message):
    metadata = opened(key(value)).metadata
    with pytest.raises(ModelFileError, match=message):
        metadata["k"]


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(NotFoundError, match=r"missing.gguf does not exist; give the path"):
        GGUF.open(tmp_path / "missing.gguf")
    with pytest.raises(ModelFileError, match="is not a file"):
        GGUF.open(tmp_path)
    with pytest.raises(ModelFileError, match="is not a file"):
        GGUF.open("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is not a file"):
        GGUF.open(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="null"):
        GGUF.open("a\0b")
    with pytest.raises(ModelFileError, match="cannot be read"):
        GGUF.open("a" * 1000)


def test_a_tensor_that_is_not_there(opened):
    with pytest.raises(ModelFileError, match=r"there is no tensor 'blk.0.attn_q.weight'"):
        opened(header()).weight("blk.0.attn_q.weight")
