"""A table for the eye, not a gate: how long files are, and which passages occur twice.

    python .ci/sizes.py [FOLDER ...]        by default src and native

A file over 250 lines is marked; it may have one noun too many, or a good reason. A passage is at least six lines that
are equal but for their indentation, imports and lines without letters aside.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

LONG = 250  # lines of a file
PASSAGE = 6  # lines

Place = tuple[Path, int]  # a file and the number of a line


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:] or ("src", "native")]
    suffixes = (".py", ".h", ".cpp")
    files = {
        path: path.read_text().splitlines()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes
    }
    lengths = sorted(map(len, files.values()))
    print(f"{len(files)} files, {sum(lengths):,} lines; median {lengths[len(lengths) // 2]}, longest {lengths[-1]}\n")
    for path, lines in sorted(files.items(), key=lambda item: -len(item[1]))[:15]:
        print(f"{len(lines):>6}  {path}{'   over ' + str(LONG) if len(lines) > LONG else ''}")
    passages = list(repeated(files))
    print(f"\n{len(passages)} passages of {PASSAGE} lines or more occur twice")
    for count, (first, first_line), (second, second_line) in passages:
        print(f"{count:>6} lines  {first}:{first_line}  {second}:{second_line}")


def repeated(files: dict[Path, list[str]]) -> Iterator[tuple[int, Place, Place]]:
    """Length and both places of every longest repetition, by the end of the first."""
    telling = {
        path: [(number, line.strip()) for number, line in enumerate(lines, 1) if tells(line)]
        for path, lines in files.items()
    }
    seen: dict[tuple[str, ...], tuple[Path, int]] = {}
    pairs: dict[tuple[Path, Path, int], list[tuple[int, int]]] = defaultdict(list)  # by how far apart they are
    for path, lines in telling.items():
        for start in range(len(lines) - PASSAGE + 1):
            window = tuple(text for _, text in lines[start : start + PASSAGE])
            before, first = seen.setdefault(window, (path, start))
            if (before, first) != (path, start):
                pairs[before, path, start - first].append((first, start))
    for (before, path, _), starts in pairs.items():
        run = 0
        for i, (first, start) in enumerate(starts):
            run += 1
            if i + 1 == len(starts) or starts[i + 1][0] != first + 1:
                begin_first, begin_second = first - run + 1, start - run + 1
                places = (before, telling[before][begin_first][0]), (path, telling[path][begin_second][0])
                yield run + PASSAGE - 1, *places
                run = 0


def tells(line: str) -> bool:
    return any(character.isalpha() for character in line) and not line.strip().startswith(
        ("import ", "from ", "#include")
    )


if __name__ == "__main__":
    main()
