"""Between text and tokens: `tokenizer` there and back, `decoder` while tokens arrive, `stops` where text has to end.

`template` writes a conversation for a model and `prompt` makes tokens of it; for a model without one, `transcript` does
both. Everything that a model file says about its text arrives here and is treated as hostile: see `vocabulary` and
`sandbox`.
"""

from gadfly.text.decoder import Decoder
from gadfly.text.prompt import encode_chat
from gadfly.text.stops import StopStrings
from gadfly.text.template import ChatTemplate
from gadfly.text.tokenizer import Tokenizer
from gadfly.text.transcript import TranscriptAnswer, encode_transcript

__all__ = [
    "ChatTemplate",
    "Decoder",
    "StopStrings",
    "Tokenizer",
    "TranscriptAnswer",
    "encode_chat",
    "encode_transcript",
]
