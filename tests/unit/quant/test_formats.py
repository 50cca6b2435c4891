import gguf
import pytest

from gadfly.errors import UnsupportedError
from gadfly.quant import FORMATS, format_by_id
from gadfly.quant.layouts import LAYOUTS


@pytest.mark.parametrize("name", FORMATS)
def test_sizes_and_ids_are_those_of_ggml(name):
    kind = gguf.GGMLQuantizationType[name]
    known = FORMATS[name]
    assert (known.name, known.ggml_id) == (name, kind)
    assert (known.block_size, known.block_bytes) == gguf.GGML_QUANT_SIZES[kind]
    assert format_by_id(kind) is known


def test_layouts_fill_their_blocks():
    assert {name: layout.itemsize for name, layout in LAYOUTS.items()} == {
        name: known.block_bytes for name, known in FORMATS.items() if known.block_size > 1
    }


def test_row_bytes():
    assert FORMATS["Q4_1"].row_bytes(576) == 360
    assert FORMATS["F16"].row_bytes(3) == 6
    with pytest.raises(UnsupportedError, match="a row of 576 elements cannot be Q4_K, whose blocks hold 256"):
        FORMATS["Q4_K"].row_bytes(576)


@pytest.mark.parametrize("kind", set(gguf.GGMLQuantizationType) - {known.ggml_id for known in FORMATS.values()})
def test_types_we_cannot_read_are_called_by_name(kind):
    with pytest.raises(UnsupportedError, match=rf"^{kind.name} \(type {kind.value}\) cannot be read; take"):
        format_by_id(kind)


def test_unknown_types():
    with pytest.raises(UnsupportedError, match="the unknown type 4000000000 cannot be read"):
        format_by_id(4_000_000_000)
