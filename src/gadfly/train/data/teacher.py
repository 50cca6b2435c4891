"""A model that is served elsewhere and answers: any server that speaks OpenAI's chat completions.

It is asked without a stream, several times at once, and again where it is busy or out of reach for a while. What it
says is untrusted: answers are bounded in size, and one that was cut off is none.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import httpx2

from gadfly.api.openai_refusal import refusal
from gadfly.conversation import Message
from gadfly.errors import BusyError, CapacityError, GadflyError, NotFoundError, RequestError, UnsupportedError
from gadfly.hub.catalogue import Catalogue
from gadfly.train.data.likely import Choice, choices_said

__all__ = ["Teacher"]

PATIENCE = httpx2.Timeout(600.0, connect=10.0)  # seconds
LARGEST_ANSWER = 4_000_000  # bytes
TRIES = 6
LONGEST_WAIT = 60.0  # seconds between two tries


class Teacher:
    """The model `name` of the server at `url`, which may end in /v1; for None, the only one that is served there.

    With `logprobs` it says what the likeliest tokens were in each place, so many. `licence` is what the server, or our
    catalogue, says of it: "" if neither does. Raises NotFoundError if there is no such model, CapacityError if nobody
    answers.
    """

    def __init__(
        self,
        url: str,
        name: str | None = None,
        key: str | None = None,
        temperature: float = 0.7,
        most: int = 512,
        logprobs: int | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        if not self.url.startswith(("http://", "https://")):
            raise RequestError(f"the teacher's address is {url!r:.80}; expected http:// or https://")
        self.temperature, self.most, self.logprobs = temperature, most, logprobs
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(timeout=PATIENCE, headers=headers, trust_env=False, transport=transport)
        self._ended = threading.Event()
        try:
            self.name, self.licence = self._look(name)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Whoever waits to ask again gives up."""
        self._ended.set()
        self._client.close()

    def answer(self, messages: Sequence[Message], seed: int) -> tuple[str, tuple[Choice, ...]]:
        """What it says next, and what was likely. From any thread.

        Raises RequestError if the question is refused, or the answer is empty or does not end within `most` tokens;
        UnsupportedError if the server does not say what was likely; CapacityError if there is no answer after several
        tries.
        """
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": one.role, "content": one.content} for one in messages],
            "temperature": self.temperature,
            "max_tokens": self.most,
            "seed": seed,
        }
        if self.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": self.logprobs}
        found = self._again(lambda: self._json("POST", "/v1/chat/completions", body))
        try:
            choice = found["choices"][0]
            text, reason = choice["message"].get("content"), choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise RequestError(f"the teacher answered with what is none: {json.dumps(found)[:100]}") from None
        if reason not in ("stop", None):
            raise RequestError(f"the answer did not end within {self.most} tokens ({str(reason)[:20]})")
        if not isinstance(text, str) or not text.strip():
            raise RequestError("the teacher answered with nothing")
        return text.strip(), () if self.logprobs is None else self._likely(choice)

    def _likely(self, choice: Any) -> tuple[Choice, ...]:
        try:
            return choices_said(choice)
        except ValueError as error:
            raise UnsupportedError(
                f"{self.url} was asked for log-probabilities, but {error}; leave out --logprobs, or take another server"
            ) from None

    def _look(self, name: str | None) -> tuple[str, str]:
        found = self._json("GET", "/v1/models")
        try:
            cards = {str(card["id"]): card for card in found["data"]}
        except (KeyError, TypeError):
            raise CapacityError(f"{self.url}/v1/models is no list of models; is it the address of a server?") from None
        if name is None and len(cards) == 1:
            (name,) = cards
        if name is None or name not in cards:
            known = ", ".join(list(cards)[:20]) or "none"
            asked = "" if name is None else f"{name!r:.80} is not one of them; "
            raise NotFoundError(f"the models at {self.url} are {known}; {asked}say which is to teach")
        licence = cards[name].get("licence") or cards[name].get("license")
        known_model = Catalogue.load().get(name.rpartition("/")[2].lower())
        return name, licence if isinstance(licence, str) else known_model.licence if known_model else ""

    def _again(self, ask: Callable[[], Any]) -> Any:
        """Ask, and ask again after a while that doubles."""
        wait = 1.0
        for left in reversed(range(TRIES)):
            try:
                return ask()
            except CapacityError as error:
                if not left:
                    raise
                wait = error.retry_after if isinstance(error, BusyError) else wait
            if self._ended.wait(min(wait, LONGEST_WAIT)):
                raise CapacityError("nobody waits for the answer any more")
            wait *= 2
        raise AssertionError

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            with self._client.stream(method, f"{self.url}{path}", json=body) as answer:
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > LARGEST_ANSWER:
                        raise RequestError(f"the teacher's answer is longer than {LARGEST_ANSWER} bytes")
                status, after = answer.status_code, answer.headers.get("retry-after", "")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise CapacityError(f"{self.url} does not answer: {error or type(error).__name__}") from error
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = data[:200].decode(errors="replace")
        if status != 200:
            raise self._refused(status, found, after)
        return found

    def _refused(self, status: int, found: Any, after: str) -> GadflyError:
        if status in (401, 403):
            return NotFoundError(f"{self.url} wants a key, or another one ({status})")
        return refusal(status, found.get("error", found) if isinstance(found, dict) else found, after)
