"""Between text and tokens: `tokenizer` there and back, `decoder` while tokens arrive, `stops` where text has to end.

`template` writes a conversation for a model and `prompt` makes tokens of it. Everything that a model file says about
its text arrives here and is treated as hostile: see `vocabulary` and `sandbox`.
"""

from gadfly.text.decoder import Decoder
from gadfly.text.prompt import encode_chat
from gadfly.text.stops import StopStrings
from gadfly.text.template import ChatTemplate
from gadfly.text.tokenizer import Tokenizer

__all__ = ["ChatTemplate", "Decoder", "StopStrings", "Tokenizer", "encode_chat"]
