"""An MCP server made with the official SDK: over stdio, or with a port over HTTP, where JSON answers if so wanted.

python good.py
python good.py PORT [json]
"""

import os
import sys
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ImageContent, TextContent

server = MCPServer("good")


@server.tool()
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("it failed on purpose")


@server.tool(structured_output=False)
def picture() -> list[Any]:
    """Draw."""
    return [TextContent(type="text", text="a picture:"), ImageContent(type="image", data="AAAA", mime_type="image/png")]


@server.tool()
def environment() -> str:
    """The names of the variables that the server sees."""
    return " ".join(sorted(os.environ))


@server.tool()
def long(length: int) -> str:
    """A text of this length."""
    return "x" * length


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]), json_response="json" in sys.argv)
    else:
        server.run()
