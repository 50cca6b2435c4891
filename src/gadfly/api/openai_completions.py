"""OpenAI's completions, the older API that continues text: what base models and lm-eval need.

A request has one prompt or many, texts or ids, and `n` answers to each: choice `prompt × n + answer`. With `echo` the
events begin with the prompt, whose first token has no log probability: `null` stands in its place, as OpenAI had it.
"""

from codecs import getincrementaldecoder
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.api.adapters import read_adapters
from gadfly.api.answer import Answer, tally
from gadfly.api.answer_format import one_format, read_extensions, read_openai_format
from gadfly.api.errors import Failure, openai_error
from gadfly.api.fields import Fields, check_text
from gadfly.api.openai_chat import LEAST_LOGPROB, Chunks, dropped, finish_reason, head, usage_object
from gadfly.api.openai_chat_request import CHOICE_LIMIT, LOGPROB_LIMIT, TOKEN_LIMIT
from gadfly.api.sampling import MODELS_OWN, read_sampling, read_stop
from gadfly.api.stamp import Stamp
from gadfly.completion import Sampling
from gadfly.conversation import AnswerEvent, Finished, TextDelta, TextRequest, TokenLogprob
from gadfly.errors import RequestError

__all__ = [
    "PROMPT_LIMIT",
    "CompletionCall",
    "CompletionStream",
    "completion",
    "read_completion",
    "read_ids",
    "read_prompts",
]

PROMPT_LIMIT = 128
PROMPT_TOKENS = 2**24
DEFAULT_TOKENS = 16  # OpenAI's


@dataclass(frozen=True)
class CompletionCall:
    """A request for each prompt, all with the same `n`."""

    model: str | None
    requests: tuple[TextRequest, ...]
    stream: bool = False
    include_usage: bool = False


def read_completion(body: object, defaults: Sampling = MODELS_OWN) -> CompletionCall:
    """Raises RequestError naming the field. `defaults` holds where the client sets something else of a Sampling."""
    fields = Fields(body)
    n = fields.whole("n", 1, CHOICE_LIMIT, 1)
    if fields.whole("best_of", 1, CHOICE_LIMIT, n) != n:
        raise fields.wrong("best_of", f"{n}, as n: nothing is generated that is not sent")
    if fields.text("suffix"):
        raise fields.wrong("suffix", "none: the models here continue text and fill no gaps")
    formats = read_openai_format(fields.table("response_format"), "json_schema") + read_extensions(fields)
    options = fields.table("stream_options")
    shared: dict[str, Any] = {
        "max_tokens": fields.whole("max_tokens", 0, TOKEN_LIMIT, DEFAULT_TOKENS),
        "sampling": read_sampling(fields, defaults),
        "stop": read_stop(fields),
        "format": one_format(formats),
        "logprobs": fields.whole("logprobs", 0, LOGPROB_LIMIT),
        "echo": fields.flag("echo"),
        "n": n,
        "truncate": fields.one_of("truncation", ("auto", "disabled"), "disabled") == "auto",
        "ignore_eos": fields.flag("ignore_eos"),
        "adapters": read_adapters(fields),
    }
    if shared["max_tokens"] == 0 and not shared["echo"]:
        raise fields.wrong("max_tokens", "at least 1 where echo is not asked for")
    return CompletionCall(
        fields.text("model"),
        tuple(TextRequest(prompt, **shared) for prompt in read_prompts(fields, "prompt")),
        stream=fields.flag("stream"),
        include_usage=options is not None and options.flag("include_usage"),
    )


def read_prompts(fields: Fields, key: str, most: int = PROMPT_LIMIT) -> list[str | tuple[int, ...]]:
    """A text, ids, or an array of either."""
    found = fields[key]
    if isinstance(found, str):
        return [fields.text(key, "")]
    if not isinstance(found, list) or not found:
        raise fields.wrong(key, "a text, an array of ids, or an array of these")
    if not isinstance(found[0], str | list):
        return [read_ids(found, fields.at(key))]
    return [
        check_text(item, path) if isinstance(item, str) else read_ids(item, path)
        for path, item in fields.items(key, most)
    ]


def read_ids(value: object, path: str) -> tuple[int, ...]:
    """An array of at least one id."""
    if not isinstance(value, list) or not 1 <= len(value) <= PROMPT_TOKENS:
        raise RequestError(f"{path} is neither a text nor an array of ids", path)
    for index, token in enumerate(value):
        if type(token) is not int or not 0 <= token < 2**31:
            raise RequestError(f"{path}[{index}] is no id of a token: a whole number from 0", f"{path}[{index}]")
    return tuple(value)


def completion(answers: Sequence[Answer], n: int, stamp: Stamp) -> dict[str, Any]:
    """The body for finished answers, `n` to each prompt in turn."""
    ends = [answer.end for answer in answers]
    choices = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": _Logprobs().table(answer.logprobs),
            "finish_reason": finish_reason(answer.end),
        }
        for index, answer in enumerate(answers)
    ]
    head_of_all = head("text_completion", stamp)
    return {**head_of_all, "choices": choices, "usage": usage_object(tally(ends, n)), **dropped(ends)}


class CompletionStream:
    """Chunks for the events of `n` answers to each of `prompts`."""

    def __init__(self, stamp: Stamp, prompts: int = 1, n: int = 1, include_usage: bool = False) -> None:
        self._chunks = Chunks("text_completion", stamp, prompts * n, n, include_usage)
        self._logprobs = [_Logprobs() for _ in range(prompts * n)]

    def events(self, event: AnswerEvent, choice: int = 0) -> list[dict[str, Any]]:
        """What to send for the next event of one of the answers."""
        match event:
            case TextDelta() if event.text or event.logprobs:
                return [self._chunks.one(choice, {"text": event.text}, self._logprobs[choice].table(event.logprobs))]
            case Finished():
                return self._chunks.last(choice, {"text": ""}, self._logprobs[choice].table(()), event)
        return []

    def failed(self, failure: Failure) -> list[dict[str, Any]]:
        """What to send when the answers end in an error."""
        return [openai_error(failure)]


class _Logprobs:
    """The four arrays in which this API writes log probabilities; offsets go on from chunk to chunk.

    They count characters, and a token may be a part of one: the whole character is counted with the last of its parts.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def table(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not tokens:
            return None
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(self._decoder.decode(token.bytes))
        return {
            "tokens": [_name(token) for token in tokens],
            "token_logprobs": [_logprob(token) for token in tokens],
            "top_logprobs": [_top(token) for token in tokens],
            "text_offset": offsets,
        }


def _top(token: TokenLogprob) -> dict[str, float | None] | None:
    """The likeliest tokens, and the one that was taken if it is not among them; None where nothing was predicted."""
    if token.logprob is None:
        return None
    found: dict[str, float | None] = {}
    for each in (*token.top, token):
        found.setdefault(_name(each), _logprob(each))
    return found


def _name(token: TokenLogprob) -> str:
    """The token's text, or its bytes where they are a part of a character, so that no two are called the same."""
    try:
        token.bytes.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.bytes)
    return token.text


def _logprob(token: TokenLogprob) -> float | None:
    return None if token.logprob is None else max(token.logprob, LEAST_LOGPROB)
