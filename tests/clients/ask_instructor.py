"""instructor, which asks for a class and validates what it gets, through tools and through a schema."""

from typing import Literal

import instructor
import openai
from asking import FRANCE, LONG, Asking, refused
from pydantic import BaseModel

asking = Asking()
plain = openai.OpenAI(base_url=f"{asking.url}/v1", api_key="any", max_retries=0, timeout=300)


class Sky(BaseModel):
    colour: Literal["red", "green", "blue"]


def ask(mode, text="Which colour has the sky?", model=asking.model):
    client = instructor.from_openai(plain, mode=mode)
    messages = [{"role": "user", "content": text}]
    return client.create(
        response_model=Sky, messages=messages, model=model, max_retries=0, max_tokens=64, temperature=0
    )


@asking.check("tools")
def _():
    assert ask(instructor.Mode.TOOLS).colour in ("red", "green", "blue")


@asking.check("schema")
def _():
    assert ask(instructor.Mode.JSON_SCHEMA).colour in ("red", "green", "blue")


@asking.check("stream")
def _():
    client = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)
    messages = [{"role": "user", "content": FRANCE}]
    parts = list(client.create_partial(response_model=Sky, messages=messages, model=asking.model, max_tokens=64))
    assert parts[-1].colour in ("red", "green", "blue")


@asking.check("errors")
def _():
    refused(Exception, lambda: ask(instructor.Mode.TOOLS, model="gpt-99"), "gpt-99")
    refused(Exception, lambda: ask(instructor.Mode.TOOLS, LONG), "4096")
