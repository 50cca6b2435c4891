"""Block formats of quantised weights: `formats` says what they are, `decode` and `encode` what they mean."""

from gadfly.quant.decode import decode
from gadfly.quant.encode import encode
from gadfly.quant.formats import FORMATS, BlockFormat, format_by_id

__all__ = ["FORMATS", "BlockFormat", "decode", "encode", "format_by_id"]
