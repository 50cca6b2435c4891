"""What a tool gives back, as text that a model can read: bounded, harmless, and frank about what was left out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gadfly.chat.tools.untrusted import cut, harmless

__all__ = ["RESULT_LIMIT", "ToolResult", "read_result"]

RESULT_LIMIT = 16_000  # characters, unless the caller has another idea


@dataclass(frozen=True)
class ToolResult:
    """`text` goes to the model; `failed` if the tool, or calling it, went wrong."""

    text: str
    failed: bool = False

    def within(self, limit: int) -> "ToolResult":
        """The same, harmless and with at most so many characters, apart from the line which says that it was cut."""
        return ToolResult(cut(harmless(self.text), limit), self.failed)


def read_result(result: Mapping[str, Any]) -> ToolResult:
    """The result of MCP's tools/call: its blocks of text; of others a line that says what they are."""
    blocks = result.get("content")
    texts = [_text(block) for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    if not any(texts) and isinstance(result.get("structuredContent"), dict):
        texts = [json.dumps(result["structuredContent"], ensure_ascii=False)]
    text = "\n".join(texts) or "[the tool gave nothing back]"
    return ToolResult(text, failed=result.get("isError") is True)


def _text(block: Mapping[str, Any]) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return f"[a link: {uri[:2000]}]"
    kind = " ".join(_named(block)) or "something unknown"
    return f"[left out, as it is no text: {kind}]"


def _named(block: Mapping[str, Any]) -> Iterator[str]:
    inner = block.get("resource") if isinstance(block.get("resource"), dict) else {}
    assert isinstance(inner, dict)
    for value in (block.get("type"), block.get("mimeType") or inner.get("mimeType")):
        if isinstance(value, str):
            yield value[:100]
