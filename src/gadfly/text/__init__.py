"""Between text and tokens: `tokenizer` there and back, `decoder` while tokens arrive, `stops` where text has to end.

`template` writes a conversation for a model and `prompt` makes tokens of it; for a model without one, `transcript` does
both. `reader` tells thoughts and calls of tools from the text of an answer, `grammar` holds it to a format. Everything
that a model file says about its text arrives here and is treated as hostile: see `vocabulary` and `sandbox`.
"""

from gadfly.text.answer_grammar import AnswerGrammar
from gadfly.text.decoder import Decoder
from gadfly.text.prompt import encode_chat
from gadfly.text.reader import AnswerReader
from gadfly.text.stops import StopStrings
from gadfly.text.template import ChatTemplate
from gadfly.text.thought import ThoughtReader, thought_marks
from gadfly.text.tokenizer import Tokenizer
from gadfly.text.tool_calls import ToolCallReader
from gadfly.text.tool_dialect import ToolDialect, tool_dialect
from gadfly.text.tool_prompt import in_words, template_message, template_tool
from gadfly.text.transcript import TranscriptAnswer, encode_transcript

__all__ = [
    "AnswerGrammar",
    "AnswerReader",
    "ChatTemplate",
    "Decoder",
    "StopStrings",
    "ThoughtReader",
    "Tokenizer",
    "ToolCallReader",
    "ToolDialect",
    "TranscriptAnswer",
    "encode_chat",
    "encode_transcript",
    "in_words",
    "template_message",
    "template_tool",
    "thought_marks",
    "tool_dialect",
]
