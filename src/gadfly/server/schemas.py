"""What /openapi.json says of the bodies that routes take: the fields that people use, for those who read or generate.

It is a description. What is accepted is decided in `gadfly.api`, which says what is wrong with a field by its name.
"""

from typing import Any

__all__ = ["BODIES", "FAILURES", "binary", "body", "form"]

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 1}
_NUMBER: dict[str, Any] = {"type": "number"}
_AUTO: dict[str, Any] = {"anyOf": [{"const": "auto"}, {"type": "number"}]}
_OBJECT: dict[str, Any] = {"type": "object"}
_ADAPTERS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 2}}
_STOP: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_CONTENT: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _OBJECT}]}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """An object that may have more than what is listed, as everywhere here."""
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


_IDS = _array({"type": "integer", "minimum": 0})
_INPUTS: dict[str, Any] = {"anyOf": [_TEXT, _IDS, _array(_TEXT), _array(_IDS)]}
_MESSAGE = _object("role", role=_TEXT, content=_CONTENT)
_MESSAGES = {**_array(_MESSAGE), "minItems": 1}
_SAMPLING: dict[str, Any] = {
    "temperature": {"type": "number", "minimum": 0},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "top_k": {"type": "integer"},
    "min_p": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer"},
}
_OURS: dict[str, Any] = {
    "persona": _TEXT,
    "wit": {"type": "number", "minimum": 0, "maximum": 1},
    "adapters": _ADAPTERS,
    "regex": _TEXT,
    "grammar": _TEXT,
}
_TOOLS: dict[str, Any] = {"tools": _array(_OBJECT), "tool_choice": {"anyOf": [_TEXT, _OBJECT]}}
_OLLAMA: dict[str, Any] = {
    "model": _TEXT,
    "stream": _FLAG,
    "options": _OBJECT,
    "keep_alive": {"anyOf": [_TEXT, _NUMBER]},
}
_FORMAT: dict[str, Any] = {"format": {"anyOf": [_TEXT, _OBJECT]}}

_NODE: dict[str, Any] = {"type": "integer", "minimum": 1}
_TERMS_OF_A_CHAT: dict[str, Any] = {
    "model": _TEXT,
    "persona": _TEXT,
    "wit": {"type": "number", "minimum": 0, "maximum": 1},
    "system": _TEXT,
    "sampling": _OBJECT,
    "adapters": _ADAPTERS,
}
_TERMS = _object(**_TERMS_OF_A_CHAT, seed={"type": "integer"}, max_tokens=_COUNT, tools=_FLAG)
_CHAT: dict[str, Any] = {"title": _TEXT, "folder": _TEXT, "tags": _array(_TEXT), "draft": _TEXT, **_TERMS_OF_A_CHAT}
_SAID: dict[str, Any] = {"parent": _NODE, "text": _TEXT, "attachments": _array(_TEXT)}

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": _object(
        "messages",
        model=_TEXT,
        messages=_MESSAGES,
        stream=_FLAG,
        stream_options=_object(include_usage=_FLAG, continuous_usage_stats=_FLAG),
        max_tokens=_COUNT,
        max_completion_tokens=_COUNT,
        n=_COUNT,
        stop=_STOP,
        presence_penalty=_NUMBER,
        frequency_penalty=_NUMBER,
        logit_bias=_OBJECT,
        logprobs=_FLAG,
        top_logprobs={"type": "integer", "minimum": 0, "maximum": 20},
        response_format=_object("type", type=_TEXT, json_schema=_OBJECT),
        functions=_array(_OBJECT),
        function_call={"anyOf": [_TEXT, _OBJECT]},
        **_SAMPLING,
        **_TOOLS,
        **_OURS,
    ),
    "/v1/completions": _object(
        "prompt",
        model=_TEXT,
        prompt=_INPUTS,
        stream=_FLAG,
        max_tokens={"type": "integer", "minimum": 0},
        n=_COUNT,
        stop=_STOP,
        echo=_FLAG,
        logprobs={"type": "integer", "minimum": 0, "maximum": 20},
        **_SAMPLING,
    ),
    "/v1/responses": _object(
        "input",
        model=_TEXT,
        input={"anyOf": [_TEXT, _array(_OBJECT)]},
        instructions=_TEXT,
        previous_response_id=_TEXT,
        store=_FLAG,
        stream=_FLAG,
        max_output_tokens=_COUNT,
        text=_OBJECT,
        reasoning=_OBJECT,
        **_SAMPLING,
        **_TOOLS,
        **_OURS,
    ),
    "/v1/embeddings": _object(
        "input", model=_TEXT, input=_INPUTS, encoding_format={"enum": ["float", "base64"]}, dimensions=_COUNT
    ),
    "/v1/fine_tuning/jobs": _object(
        "model",
        "training_file",
        model=_TEXT,
        training_file=_TEXT,
        validation_file=_TEXT,
        suffix=_TEXT,
        seed={"type": "integer", "minimum": 0},
        method=_object("type", type={"enum": ["supervised", "dpo"]}, supervised=_OBJECT, dpo=_OBJECT),
        hyperparameters=_object(n_epochs=_AUTO, batch_size=_AUTO, learning_rate_multiplier=_AUTO),
        metadata=_OBJECT,
    ),
    "/v1/messages": _object(
        "messages",
        model=_TEXT,
        messages=_MESSAGES,
        system=_CONTENT,
        max_tokens=_COUNT,
        stream=_FLAG,
        stop_sequences=_array(_TEXT),
        tools=_array(_OBJECT),
        tool_choice=_OBJECT,
        thinking=_OBJECT,
        **_SAMPLING,
        **_OURS,
    ),
    "/v1/messages/count_tokens": _object(
        "messages", model=_TEXT, messages=_MESSAGES, system=_CONTENT, tools=_array(_OBJECT)
    ),
    "/api/chat": _object("model", messages=_array(_MESSAGE), tools=_array(_OBJECT), **_OLLAMA, **_FORMAT, **_OURS),
    "/api/generate": _object("model", prompt=_TEXT, system=_TEXT, raw=_FLAG, **_OLLAMA, **_FORMAT, **_OURS),
    "/api/embed": _object("model", "input", input={"anyOf": [_TEXT, _array(_TEXT)]}, truncate=_FLAG, model=_TEXT),
    "/api/embeddings": _object("model", "prompt", model=_TEXT, prompt=_TEXT),
    "/api/show": _object("model", model=_TEXT),
    "/api/pull": _object("model", model=_TEXT, stream=_FLAG),
    "/api/copy": _object("source", "destination", source=_TEXT, destination=_TEXT),
    "/api/delete": _object("model", model=_TEXT),
    "/tokenize": _object(model=_TEXT, prompt=_TEXT, content=_TEXT, messages=_array(_MESSAGE)),
    "/detokenize": _object("tokens", model=_TEXT, tokens=_IDS),
    "/app/api/session": _object("key", key=_TEXT),
    "/app/api/settings": _OBJECT,
    "/app/api/personas/{name}": _object("description", "voices", description=_TEXT, voices=_array(_OBJECT)),
    "/app/api/chats": _object(**_CHAT),
    "/app/api/chats/{id}": _object(**_CHAT, pinned=_FLAG, archived=_FLAG, leaf=_NODE),
    "/app/api/chats/{id}/fork": _object("node", node=_NODE),
    "/app/api/chats/{id}/messages": _object("text", **_SAID, role={"enum": ["user", "assistant"]}, answer=_TERMS),
    "/app/api/chats/{id}/answers": _object("parent", parent=_NODE, variants=_array(_TERMS), prefix=_TEXT),
    "/app/api/chats/{id}/answers/{node}/consent": _object(
        "call", "allow", call=_TEXT, allow={"enum": ["once", "chat", "no"]}
    ),
    "/app/api/workshop/runs": _object(
        "model",
        "method",
        model=_TEXT,
        method={"enum": ["sft", "text", "dpo", "kto"]},
        name=_TEXT,
        chats={"enum": ["free", "conditions", "all"]},
        files=_array(_TEXT),
        valid={"type": "number", "minimum": 0, "maximum": 0.5},
        settings=_OBJECT,
        questions=_array(_TEXT),
        start=_FLAG,
    ),
    "/app/api/tools/{name}": _object(url=_TEXT, headers=_OBJECT, searxng=_TEXT, seconds=_NUMBER),
    "/app/api/tools/personas/{persona}": _object("allowed", allowed=_array(_TEXT)),
    "/app/api/chats/{id}/measure": _object(**_SAID, terms=_TERMS),
    "/app/api/chats/{id}/nodes/{node}": _object(name=_TEXT, favourite=_FLAG, pruned=_FLAG),
    "/app/api/chats/{id}/nodes/{node}/feedback": _object(
        thumb={"enum": [-1, 0, 1]}, reasons=_array(_TEXT), corrected=_TEXT
    ),
    "/app/api/chats/{id}/votes": _object("winner", "loser", winner=_NODE, loser=_NODE, blind=_FLAG),
}

FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What was wrong with the request, in the shape that the dialect has for it"},
    "5XX": {"description": "What keeps the server from answering; `retry-after` says for how long"},
}


def binary() -> dict[str, Any]:
    """For `openapi_extra` of a route that takes a file as it is."""
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": schema}}}}


def body(path: str) -> dict[str, Any]:
    """For `openapi_extra` of the route at `path`."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": BODIES[path]}}}}


def form(file: str, *texts: str) -> dict[str, Any]:
    """For `openapi_extra` of a route that takes a form with a file."""
    parts = {file: {"type": "string", "format": "binary"}, **dict.fromkeys(texts, _TEXT)}
    content = {"multipart/form-data": {"schema": _object(file, *texts, **parts)}}
    return {"requestBody": {"required": True, "content": content}}
