"""From what an API asks to what a model answers: between the engine, which knows ids, and the wire formats of clients.

`answerer` makes prompts and requests of a `ChatRequest` or a `TextRequest`; `builder` makes events of tokens; `answer`
is what callers hold, or a `generation` where text is all they want; `embedding` makes vectors. The values are those of
`gadfly.conversation`.
"""

from gadfly.answer.answer import Answer, Choice
from gadfly.answer.answerer import Answerer
from gadfly.answer.builder import AnswerBuilder
from gadfly.answer.embedding import Embedding
from gadfly.answer.generation import Generation
from gadfly.answer.prompt import Prompts

__all__ = ["Answer", "AnswerBuilder", "Answerer", "Choice", "Embedding", "Generation", "Prompts"]
