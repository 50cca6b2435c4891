import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gadfly.cli.answer import PlainScreen, RichScreen, split_blocks

ANSWER = """\
Roses are red,
violets are <b>blue</b>.

- first

- second
    still second

```python
def f():

    return "\x1b[31m"
```

| a | b |
|---|---|
| 1 | 2 |

A [link](https://example.org/secret) at the end."""


def rich_screen(height: int = 24) -> tuple[RichScreen, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=60, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    return RichScreen(console), out


class TestPlain:
    def test_it_only_appends(self):
        out = io.StringIO()
        PlainScreen(out).answer("Gadfly", [" \n", " Well", ",\x1b[2J yes", "."])
        assert out.getvalue() == "Gadfly: Well,[2J yes.\n\n"

    def test_stdout_of_a_pipe_gets_answers_only(self):
        out, notes = io.StringIO(), io.StringIO()
        screen = PlainScreen(out, notes, named=False)
        screen.note("By the way")
        screen.answer("Gadfly", ["Yes."])
        assert (out.getvalue(), notes.getvalue()) == ("Yes.\n", "By the way\n")

    def test_an_answer_that_breaks_off_ends_its_line(self):
        out = io.StringIO()

        def pieces():
            yield "Well"
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            PlainScreen(out).answer("Gadfly", pieces())
        assert out.getvalue().endswith("Well\n\n")


class TestBlocks:
    def test_a_block_has_ended_when_the_next_begins(self):
        assert split_blocks("one\ntwo\n\nthree\n\nfour") == (["one\ntwo\n\n", "three\n\n"], "four")
        assert split_blocks("one\n\n") == ([], "one\n\n")

    @pytest.mark.parametrize("text", ["- one\n\n  still one", "- one\n\n- two", "1. one\n\n2. two"])
    def test_a_list_is_one_block(self, text: str):
        assert split_blocks(text) == ([], text)
        assert split_blocks(f"{text}\n\nDone") == ([f"{text}\n\n"], "Done")

    @pytest.mark.parametrize("fence", ["```", "~~~", "````"])
    def test_a_blank_line_does_not_end_code(self, fence: str):
        code = f"{fence}c\nint a;\n\nint b;\n"
        assert split_blocks(code) == ([], code)
        assert split_blocks(f"{code}{fence}\n\nDone") == ([f"{code}{fence}\n\n"], "Done")

    @given(st.lists(st.sampled_from(["a", "b", "`", "```", "~~~", "\n", "\n\n", "- ", "1. ", " ", "#"]), max_size=30))
    def test_blocks_do_not_depend_on_how_the_text_came(self, pieces: list[str]):
        blocks, rest = [], ""
        for piece in pieces:
            done, rest = split_blocks(rest + piece)
            blocks += done
        assert (blocks, rest) == split_blocks("".join(pieces))


class TestRich:
    def show(self, pieces: list[str], height: int = 24) -> str:
        screen, out = rich_screen(height)
        screen.answer("Gadfly", pieces)
        return out.getvalue()

    @staticmethod
    def left_on_screen(output: str) -> list[str]:
        """What a terminal shows after the control sequences that rich emits."""
        lines, row = [""], 0
        position = 0
        while position < len(output):
            if output.startswith("\x1b[", position):
                end = next(i for i in range(position + 2, len(output)) if output[i].isalpha())
                count, order = output[position + 2 : end], output[end]
                if order == "A":
                    row -= int(count)
                elif order == "K":
                    lines[row] = ""
                position = end + 1
                continue
            if output[position] == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif output[position] != "\r":
                lines[row] += output[position]
            position += 1
        return [line.rstrip() for line in lines]

    def test_every_way_of_cutting_the_answer_leaves_the_same_screen(self):
        whole = self.left_on_screen(self.show([ANSWER]))
        for size in (1, 3, 17):
            pieces = [ANSWER[i : i + size] for i in range(0, len(ANSWER), size)]
            assert self.left_on_screen(self.show(pieces)) == whole

    def test_what_is_left_is_what_was_said(self):
        shown = "\n".join(self.left_on_screen(self.show([ANSWER])))
        assert "Roses are red,\nviolets are <b>blue</b>." in shown
        assert "https://example.org/secret" in shown
        assert 'return "[31m"' in shown

    def test_it_never_draws_more_than_fits(self):
        shown = self.show(["```\n", *(f"line {n}\n" for n in range(100)), "```"], height=10)
        assert all(int(up.split("A")[0]) < 10 for up in shown.split("\x1b[")[1:] if up.split("A")[0].isdigit())
        assert [line for line in self.left_on_screen(shown) if "line" in line][-1].strip() == "line 99"

    @pytest.mark.parametrize("number", ["8.", "1984)"])
    def test_a_number_is_an_answer_and_no_list_of_nothing(self, number: str):
        assert number in "\n".join(self.left_on_screen(self.show([number])))
        assert number in "\n".join(self.left_on_screen(self.show(["Let me think.\n\n", number])))

    def test_an_empty_answer_is_an_empty_line(self):
        assert self.left_on_screen(self.show([]))[0] == "Gadfly"
