"""LangChain, through the package of the dialect that is the third argument: openai, anthropic or ollama."""

import importlib
import sys

from asking import COLOUR, FRANCE, LONG, STORY, WEATHER, Asking, refused
from langchain_core.exceptions import ContextOverflowError

asking = Asking()
DIALECT = sys.argv[3]
package = importlib.import_module(f"langchain_{DIALECT}")
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": WEATHER}}
SCHEMA = {"title": "Colour", "description": "A colour", **COLOUR}


def chat(model=asking.model, length=24, temperature=0):
    if DIALECT == "openai":
        place = {"base_url": f"{asking.url}/v1", "api_key": "any", "max_retries": 0}
        return package.ChatOpenAI(model=model, max_tokens=length, temperature=temperature, **place)
    if DIALECT == "anthropic":
        place = {"base_url": asking.url, "api_key": "any", "max_retries": 0}
        return package.ChatAnthropic(model=model, max_tokens=length, temperature=temperature, **place)
    return package.ChatOllama(model=model, num_predict=length, temperature=temperature, base_url=asking.url)


@asking.check("answer")
def _():
    answer = chat().invoke(FRANCE)
    assert "Paris" in answer.text
    assert answer.usage_metadata["output_tokens"] > 0


@asking.check("stream")
def _():
    pieces = list(chat().stream(FRANCE))
    assert len(pieces) > 2
    assert "".join(piece.text for piece in pieces) == chat().invoke(FRANCE).text


@asking.check("tools")
def _():
    if DIALECT == "ollama":
        answer = chat(length=64).bind_tools([TOOL]).invoke("What is the weather in Paris?")
        assert all(call["name"] == "weather" for call in answer.tool_calls)
        return "called" if answer.tool_calls else "accepted; the model did not call"
    answer = chat(length=96).bind_tools([TOOL], tool_choice="any").invoke("What is the weather in Paris?")
    assert answer.tool_calls and {call["name"] for call in answer.tool_calls} == {"weather"}
    assert set(answer.tool_calls[0]["args"]) == {"city"}
    return None


@asking.check("schema")
def _():
    formed = chat(length=64).with_structured_output(SCHEMA, method="json_schema")
    assert formed.invoke("Which colour has the sky?")["colour"] in ("red", "green", "blue")


@asking.check("errors")
def _():
    refused(Exception, lambda: chat("gpt-99").invoke(FRANCE), "gpt-99")
    error = refused(Exception, lambda: chat().invoke(LONG), "4096")
    assert DIALECT == "ollama" or isinstance(error, ContextOverflowError), type(error)  # Ollama's it has no name for


@asking.check("leaving")
def _():
    def begin():
        asked = chat(length=3000, temperature=100)  # at which an end is as unlikely as any other token
        stream = asked.stream(STORY)
        for piece in stream:
            if piece.text:
                break
        return stream.close

    return asking.leave(begin)


if DIALECT != "anthropic":

    @asking.check("embeddings")
    def _():
        if DIALECT == "openai":
            place = {"base_url": f"{asking.url}/v1", "api_key": "any", "check_embedding_ctx_length": False}
            made = package.OpenAIEmbeddings(model=asking.model, **place)
        else:
            made = package.OllamaEmbeddings(model=asking.model, base_url=asking.url)
        assert len(made.embed_documents(["one", "two"])) == 2
