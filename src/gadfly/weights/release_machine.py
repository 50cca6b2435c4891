"""What a machine that walks a pickle has: a place in the bytes of the file, a stack and a memo, none of them trusted.

Whatever is taken has to be there; nothing is copied but short texts. What opcodes do with it: `release_pickle`.
"""

from pathlib import Path
from struct import calcsize, unpack_from

from gadfly.errors import ModelFileError
from gadfly.weights.release_opcodes import NAMES

__all__ = ["Machine"]


class Machine:
    """Over the bytes `data` of the file `path`. Errors name the opcode that begins at `opcode`."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path = path
        self.data = data
        self.position = 0
        self.opcode = 0  # where the current one begins
        self.frame_end: int | None = None
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: list[object] = []

    def error(self, message: str) -> ModelFileError:
        name = "the file ends"
        if self.opcode < len(self.data):
            code = self.data[self.opcode]
            name = f"opcode {NAMES.get(code, 'of no name')} (0x{code:02x})"
        return ModelFileError(
            f"{self.path}: {name} at byte {self.opcode}: {message}; this is no file of the Grok-1 release, or a "
            "damaged one, fetch it again"
        )

    def take(self, size: int) -> int:
        """Step over `size` bytes of the current frame, or of the file outside of frames; returns where they begin."""
        start, end = self.position, len(self.data) if self.frame_end is None else self.frame_end
        if size > end - start:
            where = "the file" if self.frame_end is None else "its frame"
            raise self.error(f"it takes {size} bytes at byte {start}, but {where} ends at byte {end}")
        self.position += size
        return start

    def number(self, layout: str) -> int:
        value: int = unpack_from(f"<{layout}", self.data, self.take(calcsize(f"<{layout}")))[0]
        return value

    def text(self) -> str:
        size = self.number("B")
        start = self.take(size)
        try:
            return str(self.data[start : start + size], "ascii")
        except UnicodeDecodeError:
            raise self.error("expected text in ASCII") from None

    def begin_frame(self) -> None:
        size = self.number("Q")
        if self.frame_end is not None:
            raise self.error(f"expected no frame inside the frame that ends at byte {self.frame_end}")
        if size > len(self.data) - self.position:
            raise self.error(f"the frame has {size} bytes, but the file ends at byte {len(self.data)}")
        self.frame_end = self.position + size

    def pop(self, count: int) -> list[object]:
        """The last `count` values, which have to lie above the last mark."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise self.error(f"it takes {count} values from the stack, which does not hold as many")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_to_mark(self) -> list[object]:
        if not self.marks:
            raise self.error("expected a MARK before it")
        values = self.stack[self.marks[-1] :]
        del self.stack[self.marks.pop() :]
        return values

    def top(self) -> object:
        (value,) = self.pop(1)
        self.stack.append(value)
        return value

    def remembered(self, index: int) -> object:
        if index >= len(self.memo):
            raise self.error(f"it asks for memo {index}, but there are {len(self.memo)}")
        return self.memo[index]
