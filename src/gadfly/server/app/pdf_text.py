"""The text of a PDF, which may have been made to harm: read by a process of its own that can do little and ends soon.

Run as a program it reads a PDF from stdin and writes JSON: {"text": …, "pages": …} or {"error": …}.
"""

import asyncio
import json
import resource
import sys
from dataclasses import dataclass
from io import BytesIO

from gadfly.errors import CapacityError, RequestError

__all__ = ["PdfText", "pdf_text"]

_MEMORY = 1 << 30  # bytes of addresses
_SECONDS = 30  # of processor time
_PATIENCE = 300.0  # seconds by the clock, on a machine that has other things to do
_PAGES = 2000
_CHARACTERS = 4_000_000


@dataclass(frozen=True)
class PdfText:
    text: str
    pages: int


async def pdf_text(data: bytes) -> PdfText:
    """Raises RequestError saying what is wrong with it, or that there is no text in it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        "gadfly.server.app.pdf_text",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            out, _ = await process.communicate(data)
    except TimeoutError:
        raise RequestError("this PDF takes too long to read") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        found = json.loads(out)
    except ValueError:
        raise RequestError("this PDF takes more memory or time to read than a PDF may") from None
    if "error" in found:
        raise RequestError(f"this PDF cannot be read: {found['error']}")
    if not found["text"].strip():
        raise RequestError("there is no text in this PDF; its pages may be pictures of text, which are not read")
    return PdfText(found["text"], found["pages"])


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    data = sys.stdin.buffer.read()
    try:
        text, pages = _read(data)
        found: dict[str, object] = {"text": text, "pages": pages}
    except Exception as error:  # of a library that reads what anybody may have written
        found = {"error": " ".join(str(error).split())[:200] or type(error).__name__}
    sys.stdout.write(json.dumps(found))


def _read(data: bytes) -> tuple[str, int]:
    from pypdf import PdfReader  # in the process that may break, and only there

    reader = PdfReader(BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise CapacityError("it is locked with a password")
    if (count := len(reader.pages)) > _PAGES:
        raise CapacityError(f"it has {count} pages; at most {_PAGES} are read")
    texts: list[str] = []
    length = 0
    for page in reader.pages:
        texts.append(page.extract_text().encode(errors="replace").decode())
        length += len(texts[-1])
        if length > _CHARACTERS:
            raise CapacityError(f"it has more than {_CHARACTERS} characters")
    return "\n\n".join(text.strip() for text in texts), count


if __name__ == "__main__":
    _main()
