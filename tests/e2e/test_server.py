"""`gadfly serve` with the default model, asked by the clients that people use, which check every answer strictly."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import anthropic
import httpx2
import ollama
import openai
import pytest

from gadfly.hub.library import Library
from gadfly.settings import home

MODEL = "smollm2"
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0}  # which Anthropic's client has no parameter for any more
STORY = [{"role": "user", "content": "Tell me a story about a gadfly."}]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server is, which is asked to end with Ctrl-C and has to do so."""
    if Library(home()).resolve(MODEL) is None:
        pytest.skip("the default model is not here; run `make model`")
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "gadfly", "serve", MODEL, "--port", "0", "--context", "2048"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a job may have it ignored
        )
    assert process.stdout is not None
    first = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", first)
    assert found, (first, log.read_text())
    yield found[0]
    process.send_signal(signal.SIGINT)
    with process:
        assert process.wait(60) == 130
    lines = log.read_text().splitlines()
    assert lines, "nothing was logged"
    assert not [line for line in lines if "Traceback" in line or "France" in line]


@pytest.fixture(scope="module")
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=120, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture(scope="module")
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=url, api_key="any", max_retries=0, timeout=120, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture(scope="module")
def llama(url: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=url) as client:
        yield client


def test_openai_chat(gpt: openai.OpenAI) -> None:
    assert [model.id for model in gpt.models.list()] == [MODEL]
    assert gpt.models.retrieve(MODEL).object == "model"
    whole = gpt.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, max_tokens=24, logprobs=True)
    choice = whole.choices[0]
    assert choice.message.content is not None
    assert "Paris" in choice.message.content
    assert choice.logprobs is not None and choice.logprobs.content is not None
    assert "".join(token.token for token in choice.logprobs.content).strip() == choice.message.content.strip()
    assert whole.usage is not None and whole.usage.completion_tokens <= 24
    with gpt.chat.completions.stream(
        model=MODEL, messages=FRANCE, temperature=0, max_tokens=24, stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == choice.message.content
    assert final.usage is not None and final.usage.completion_tokens == whole.usage.completion_tokens
    assert final.system_fingerprint == whole.system_fingerprint


def test_openai_completions_and_several_answers(gpt: openai.OpenAI, url: str) -> None:
    asked = {"model": MODEL, "prompt": ["Once upon a time", "The sea"], "max_tokens": 8, "seed": 7, "n": 2}
    whole = gpt.completions.create(**asked)  # type: ignore[call-overload]
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert len({choice.text for choice in whole.choices}) > 2
    again = gpt.completions.create(**asked)  # type: ignore[call-overload]
    assert [choice.text for choice in again.choices] == [choice.text for choice in whole.choices]
    # Not through the client: like OpenAI's server, ours has null for the first token, which their types have forgotten.
    asked = {"model": MODEL, "prompt": "Once upon", "echo": True, "max_tokens": 0, "logprobs": 1}
    echoed = httpx2.post(f"{url}/v1/completions", json=asked, timeout=60).json()["choices"][0]
    assert echoed["text"] == "Once upon"
    assert [logprob is None for logprob in echoed["logprobs"]["token_logprobs"]] == [True, False]


def test_openai_responses(gpt: openai.OpenAI) -> None:
    first = gpt.responses.create(model=MODEL, input="My name is Ada.", temperature=0, max_output_tokens=24)
    assert first.output_text
    events = list(
        gpt.responses.create(
            model=MODEL,
            input="What is my name?",
            previous_response_id=first.id,
            temperature=0,
            max_output_tokens=24,
            stream=True,
        )
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    usage = last.response.usage
    assert first.usage is not None and usage is not None
    assert usage.input_tokens > first.usage.total_tokens  # what was said before is a part of the prompt
    assert usage.input_tokens_details.cached_tokens > 0


def test_embeddings(url: str, gpt: openai.OpenAI, llama: ollama.Client) -> None:
    texts = ["A cat sat on the mat.", "A kitten lay on the rug.", "The stock market fell."]
    numbers = gpt.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    vectors = [each.embedding for each in numbers.data]
    near, far = (sum(map(float.__mul__, vectors[0], other)) for other in vectors[1:])
    assert near > far
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", timeout=120) as lenient:  # the strict one wants no base64
        assert lenient.embeddings.create(model=MODEL, input=texts[0]).data[0].embedding == pytest.approx(vectors[0])
    assert list(llama.embed(MODEL, texts[0]).embeddings[0]) == pytest.approx(vectors[0], abs=1e-6)


def test_openai_errors(gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        gpt.chat.completions.create(model="gpt-5", messages=FRANCE)
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 5000}])
    assert caught.value.code == "context_length_exceeded"
    assert "2048" in str(caught.value)
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(model=MODEL, messages=FRANCE, temperature=-1)
    assert caught.value.param == "temperature"


def test_anthropic(claude: anthropic.Anthropic) -> None:
    assert [model.id for model in claude.models.list()] == [MODEL]
    whole = claude.messages.create(model=MODEL, messages=FRANCE, max_tokens=24, extra_body=GREEDY)
    assert whole.content[0].type == "text"
    assert "Paris" in whole.content[0].text
    with claude.messages.stream(model=MODEL, messages=FRANCE, max_tokens=24, extra_body=GREEDY) as stream:
        assert "".join(stream.text_stream) == whole.content[0].text
        final = stream.get_final_message()
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens
    counted = claude.messages.count_tokens(model=MODEL, messages=FRANCE).input_tokens
    assert counted == whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="claude", messages=FRANCE, max_tokens=4)


def test_ollama(llama: ollama.Client) -> None:
    assert [model.model for model in llama.list().models] == [MODEL]
    assert llama.show(MODEL).details is not None
    options = {"temperature": 0, "num_predict": 24}
    whole = llama.chat(MODEL, FRANCE, options=options)
    assert "Paris" in (whole.message.content or "")
    pieces = list(llama.chat(MODEL, FRANCE, options=options, stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert pieces[-1].done and pieces[-1].eval_count == whole.eval_count
    raw = llama.generate(MODEL, "Once upon a time", raw=True, options=options)
    assert raw.response
    assert [model.model for model in llama.ps().models] == [MODEL]
    with pytest.raises(ollama.ResponseError):
        llama.chat("llama3", FRANCE)


def test_the_same_seed_gives_the_same_text_alone_and_in_a_crowd(gpt: openai.OpenAI) -> None:
    def ask(seed: int) -> str:
        answer = gpt.chat.completions.create(model=MODEL, messages=STORY, seed=seed, max_tokens=24)
        return answer.choices[0].message.content or ""

    alone = [ask(seed) for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, [*range(4)] * 3)) == alone * 3


def test_a_client_that_leaves_makes_room(url: str, gpt: openai.OpenAI) -> None:
    def running() -> int:
        text = httpx2.get(f"{url}/metrics", timeout=60).text
        return int(float(re.search(r"gadfly_requests_running\{.*\} (\S+)", text)[1]))  # type: ignore[index]

    stream = gpt.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=1900, stream=True, extra_body={"logit_bias": {"2": -100}}
    )
    next(iter(stream))
    assert running() == 1
    stream.close()
    for _ in range(100):
        if not running():
            break
    else:
        pytest.fail("it is still being answered")


@contextmanager
def starting(*arguments: str, **environment: str) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """The first lines that the command says, and its process, which has ended behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gadfly", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    with process:
        assert process.stdout is not None
        try:
            yield list(iter(process.stdout.readline, "Ctrl-C ends it.\n")), process
        finally:
            process.terminate()
            assert process.wait(60) in (0, 2)


def test_a_sigterm_is_an_orderly_end() -> None:
    with starting(MODEL, "--port", "0") as (_, process):
        process.terminate()
        assert process.wait(60) == 0


def test_a_port_in_use_is_an_error(url: str) -> None:
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "gadfly", "serve", MODEL, "--port", port]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2
    assert f"127.0.0.1 port {port} cannot be listened on" in refused.stderr


def test_away_from_this_machine_a_key_is_made_shown_once_and_asked_for(tmp_path: Path) -> None:
    if (model := Library(home()).resolve(MODEL)) is None:
        pytest.skip("the default model is not here; run `make model`")
    command = [str(model), "--host", "0.0.0.0", "--port", "0"]
    with starting(*command, GADFLY_HOME=str(tmp_path)) as (lines, _):
        key, url = (re.search(pattern, "".join(lines))[0] for pattern in (r"gadfly-\S+", r"http://\S+"))  # type: ignore[index]
        assert httpx2.get(f"{url}/v1/models", timeout=60).status_code == 401
        answer = httpx2.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"}, timeout=60)
        assert answer.status_code == 200
    with starting(*command, GADFLY_HOME=str(tmp_path)) as (lines, _):
        assert "gadfly-" not in "".join(lines)
    kept = (tmp_path / "keys.json").read_text()
    assert key not in kept
    assert json.loads(kept)["keys"][0]["name"] == "first"
