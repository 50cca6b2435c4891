"""Block formats of quantised weights: `formats` says what they are, `decode` and `encode` what they mean."""

from gadfly.quant.decode import decode
from gadfly.quant.encode import encode
from gadfly.quant.formats import BYTES, FORMATS, BlockFormat, format_by_id

__all__ = ["BYTES", "FORMATS", "BlockFormat", "decode", "encode", "format_by_id"]
