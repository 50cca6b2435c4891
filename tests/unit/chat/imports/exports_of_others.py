"""Small files of other programs, written to the shapes that they are known to have."""

from typing import Any

CHATGPT: list[dict[str, Any]] = [
    {
        "id": "c1",
        "conversation_id": "c1",
        "title": "Roman roads",
        "create_time": 1700000000.5,
        "update_time": 1700000100.25,
        "is_archived": True,
        "is_starred": None,
        "current_node": "a2",
        "mapping": {
            "root": {"id": "root", "message": None, "parent": None, "children": ["ctx"]},
            "ctx": {
                "id": "ctx",
                "parent": "root",
                "children": ["u1"],
                "message": {
                    "author": {"role": "user"},
                    "create_time": None,
                    "content": {"content_type": "user_editable_context", "user_profile": "I build roads."},
                    "metadata": {"is_visually_hidden_from_conversation": True},
                    "recipient": "all",
                },
            },
            "u1": {
                "id": "u1",
                "parent": "ctx",
                "children": ["a1", "t2"],
                "message": {
                    "author": {"role": "user", "name": None},
                    "create_time": 1700000001.0,
                    "content": {
                        "content_type": "multimodal_text",
                        "parts": [
                            {"content_type": "image_asset_pointer", "asset_pointer": "file://1"},
                            "Who built them?",
                        ],
                    },
                    "metadata": {},
                    "recipient": "all",
                },
            },
            "a1": {
                "id": "a1",
                "parent": "u1",
                "children": [],
                "message": {
                    "author": {"role": "assistant"},
                    "create_time": 1700000002.0,
                    "content": {"content_type": "text", "parts": ["Soldiers."]},
                    "metadata": {"model_slug": "gpt-4o", "finish_details": {"type": "stop"}},
                    "recipient": "all",
                },
            },
            "t2": {
                "id": "t2",
                "parent": "u1",
                "children": ["s2"],
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"content_type": "thoughts", "thoughts": [{"summary": "S", "content": "Let me look."}]},
                    "recipient": "all",
                },
            },
            "s2": {
                "id": "s2",
                "parent": "t2",
                "children": ["r2"],
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"content_type": "code", "language": "unknown", "text": "search('roads')"},
                    "recipient": "web",
                },
            },
            "r2": {
                "id": "r2",
                "parent": "s2",
                "children": ["a2"],
                "message": {
                    "author": {"role": "tool", "name": "web"},
                    "content": {"content_type": "tether_browsing_display", "result": "Found."},
                    "recipient": "all",
                },
            },
            "a2": {
                "id": "a2",
                "parent": "r2",
                "children": [],
                "message": {
                    "author": {"role": "assistant"},
                    "create_time": 1700000003.0,
                    "content": {"content_type": "text", "parts": ["Legions."]},
                    "metadata": {"model_slug": "o3"},
                    "recipient": "all",
                },
            },
        },
    },
    {"id": "c2", "title": "Broken", "mapping": []},
]

CLAUDE: list[dict[str, Any]] = [
    {
        "uuid": "k1",
        "name": "A paper",
        "created_at": "2025-01-02T03:04:05.678901Z",
        "updated_at": "2025-01-02T03:05:05.678901Z",
        "account": {"uuid": "me"},
        "chat_messages": [
            {
                "uuid": "h1",
                "sender": "human",
                "text": "Read this.",
                "content": [{"type": "text", "text": "Read this."}],
                "created_at": "2025-01-02T03:04:06Z",
                "attachments": [{"file_name": "p.txt", "file_type": "text/plain", "extracted_content": "Words."}],
                "files": [{"file_name": "photo.png"}],
            },
            {
                "uuid": "a1",
                "sender": "assistant",
                "text": "I looked. It is short.",
                "content": [
                    {"type": "thinking", "thinking": "Hm."},
                    {"type": "text", "text": "I will look."},
                    {"type": "tool_use", "id": "tu", "name": "find", "input": {"q": "x"}},
                    {
                        "type": "tool_result",
                        "tool_use_id": "tu",
                        "name": "find",
                        "content": [{"type": "text", "text": "Found."}],
                    },
                    {"type": "text", "text": "It is short."},
                ],
                "created_at": "2025-01-02T03:04:10Z",
                "attachments": [],
                "files": [],
            },
            {
                "uuid": "h2",
                "parent_message_uuid": "h1",
                "sender": "human",
                "text": "A branch.",
                "content": [],
                "created_at": "2025-01-02T03:04:20Z",
            },
        ],
    }
]

OPEN_WEBUI: list[dict[str, Any]] = [
    {
        "id": "w1",
        "user_id": "u",
        "title": "Sums",
        "created_at": 1700000000,
        "updated_at": 1700000050,
        "archived": False,
        "pinned": True,
        "meta": {"tags": ["maths"]},
        "folder_id": None,
        "chat": {
            "title": "Sums",
            "models": ["qwen"],
            "params": {"system": "Be exact."},
            "history": {
                "currentId": "2b",
                "messages": {
                    "1": {
                        "id": "1",
                        "parentId": None,
                        "childrenIds": ["2a", "2b"],
                        "role": "user",
                        "content": "15 * 17?",
                        "timestamp": 1700000001,
                        "files": [
                            {"type": "file", "name": "n.md", "file": {"data": {"content": "Numbers."}}},
                            {"type": "image", "url": "data:…"},
                        ],
                    },
                    "2a": {
                        "id": "2a",
                        "parentId": "1",
                        "childrenIds": [],
                        "role": "assistant",
                        "model": "qwen",
                        "timestamp": 1700000002,
                        "content": '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>'
                        "\n&gt; 10 &lt; 15\n&gt; so\n</details>\n255",
                    },
                    "2b": {
                        "id": "2b",
                        "parentId": "1",
                        "childrenIds": [],
                        "role": "assistant",
                        "model": "qwen",
                        "timestamp": 1700000003,
                        "content": "ignored",
                        "output": [
                            {"type": "reasoning", "content": [{"type": "output_text", "text": "Compute."}]},
                            {"type": "function_call", "call_id": "f", "name": "calc", "arguments": '{"x": 1}'},
                            {
                                "type": "function_call_output",
                                "call_id": "f",
                                "output": [{"type": "input_text", "text": "255"}],
                            },
                            {"type": "message", "content": [{"type": "output_text", "text": "It is 255."}]},
                        ],
                    },
                },
            },
        },
    }
]

_ZEROS = "00000000-0000-0000-0000-000000000000"
LIBRECHAT: dict[str, Any] = {
    "conversationId": "l1",
    "endpoint": "openAI",
    "title": "Stories",
    "branches": True,
    "recursive": False,
    "options": {"model": "gpt-4o", "promptPrefix": "Tell tales."},
    "messages": [
        {
            "messageId": "m1",
            "parentMessageId": _ZEROS,
            "isCreatedByUser": True,
            "text": "A story",
            "createdAt": "2024-05-28T18:08:55.014Z",
        },
        {
            "messageId": "m2",
            "parentMessageId": "m1",
            "isCreatedByUser": False,
            "model": "gpt-4o",
            "text": "Once",
            "unfinished": True,
            "createdAt": "2024-05-28T18:08:56.014Z",
        },
        {
            "messageId": "m3",
            "parentMessageId": "m1",
            "isCreatedByUser": False,
            "model": "gpt-4o",
            "text": "",
            "createdAt": "2024-05-28T18:08:57.014Z",
            "content": [
                {"type": "think", "think": "Plot."},
                {"type": "tool_call", "tool_call": {"id": "t", "name": "muse", "args": "{}", "output": "Idea."}},
                {"type": "text", "text": {"value": "Twice"}},
            ],
        },
    ],
}
LIBRECHAT_TREE: dict[str, Any] = {
    "conversationId": "l2",
    "title": "Nested",
    "recursive": True,
    "messagesTree": [
        {
            "messageId": "m1",
            "parentMessageId": _ZEROS,
            "isCreatedByUser": True,
            "text": "Ask",
            "children": [
                {"messageId": "m2", "isCreatedByUser": False, "text": "One", "children": []},
                {"messageId": "m3", "isCreatedByUser": False, "text": "Two", "children": []},
            ],
        }
    ],
}

LLAMA_CPP: dict[str, Any] = {
    "conv": {"id": "v1", "name": "Local", "lastModified": 1700000050000, "currNode": "4"},
    "messages": [
        {
            "id": "1",
            "convId": "v1",
            "type": "root",
            "role": "system",
            "content": "",
            "parent": "-1",
            "children": ["2"],
            "timestamp": 1700000000000,
        },
        {
            "id": "2",
            "convId": "v1",
            "type": "text",
            "role": "user",
            "content": "Hello",
            "parent": "1",
            "children": ["3", "4"],
            "timestamp": 1700000001000,
            "extra": [{"type": "TEXT", "name": "a.txt", "content": "File."}, {"type": "IMAGE", "base64Url": "x"}],
        },
        {
            "id": "3",
            "convId": "v1",
            "type": "text",
            "role": "assistant",
            "content": "Hi",
            "parent": "2",
            "children": [],
            "timestamp": 1700000002000,
            "model": "q",
        },
        {
            "id": "4",
            "convId": "v1",
            "type": "text",
            "role": "assistant",
            "content": "Hey",
            "thinking": "Greet.",
            "parent": "2",
            "children": [],
            "timestamp": 1700000003000,
            "toolCalls": '[{"id": "z", "type": "function", "function": {"name": "wave", "arguments": "{}"}}]',
        },
    ],
}

MESSAGES = {"title": "Lines", "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
SHAREGPT = {"id": "s1", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
RECORD = {
    "format": "gadfly-chat", "version": 1, "persona": "gadfly", "wit": 0.5, "system": None,
    "turns": [{"user": "Q", "first": 0, "attempt": 0, "reply": None}],
}  # fmt: skip
