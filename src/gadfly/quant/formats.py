"""Block formats as data: how many bytes encode how many elements, and what GGUF files call the format.

A row of a matrix is cut into blocks of `block_size` consecutive elements, each encoded by itself in `block_bytes`
bytes; blocks lie end to end. What the bytes mean is drawn in `gadfly.quant.layouts`; numbers come out of them in
`decode` and go into them in `encode`. Source: ggml (ggml-common.h), from which names and ids are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gadfly.errors import UnsupportedError

__all__ = ["BYTES", "FORMATS", "BlockFormat", "format_by_id"]


@dataclass(frozen=True)
class BlockFormat:
    name: str
    ggml_id: int  # the number of the type in GGUF files
    block_size: int  # elements
    block_bytes: int

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row of `columns` elements. Raises UnsupportedError unless whole blocks fill it."""
        if columns % self.block_size:
            raise UnsupportedError(
                f"a row of {columns} elements cannot be {self.name}, whose blocks hold {self.block_size}; "
                "store it in a format with smaller blocks, such as Q8_0 or F16"
            )
        return columns // self.block_size * self.block_bytes


FORMATS: Mapping[str, BlockFormat] = MappingProxyType(
    {
        name: BlockFormat(name, ggml_id, block_size, block_bytes)
        for name, ggml_id, block_size, block_bytes in (
            ("F32", 0, 1, 4),
            ("F16", 1, 1, 2),
            ("BF16", 30, 1, 2),
            ("Q4_0", 2, 32, 18),
            ("Q4_1", 3, 32, 20),
            ("Q5_0", 6, 32, 22),
            ("Q5_1", 7, 32, 24),
            ("Q8_0", 8, 32, 34),
            ("Q2_K", 10, 256, 84),
            ("Q3_K", 11, 256, 110),
            ("Q4_K", 12, 256, 144),
            ("Q5_K", 13, 256, 176),
            ("Q6_K", 14, 256, 210),
            ("IQ4_NL", 20, 32, 18),
            ("IQ4_XS", 23, 256, 136),
        )
    }
)

_BY_ID = {block_format.ggml_id: block_format for block_format in FORMATS.values()}

BYTES = BlockFormat("I8", 24, 1, 1)  # a type of ggml, not a format: whoever wrote them knows what they mean

# Types of ggml that Gadfly does not read, so that a message can call them by their names.
_OTHERS = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}


def format_by_id(ggml_id: int) -> BlockFormat:
    """The format with this number in GGUF files. Raises UnsupportedError, naming the type where it has a name."""
    if ggml_id in _BY_ID:
        return _BY_ID[ggml_id]
    name = f"{_OTHERS[ggml_id]} (type {ggml_id})" if ggml_id in _OTHERS else f"the unknown type {ggml_id}"
    raise UnsupportedError(f"{name} cannot be read; take a file in {', '.join(FORMATS)}")
