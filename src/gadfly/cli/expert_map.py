"""A picture of which experts the tokens went to: a row for each layer, a column for each expert.

A square is as dark as its expert is busy beside its share, which is what all of a layer would have if its router chose
evenly. On a terminal of characters, in a file as SVG.
"""

from collections.abc import Sequence
from pathlib import Path

from gadfly.weights.disk import replacing

__all__ = ["map_lines", "write_map"]

SHADES = " ░▒▓█"  # up to a quarter of the share, half, one, twice, and more
STEPS = (0.25, 0.5, 1.0, 2.0)
CELL, MARGIN, HEAD = 16, 64, 40  # pixels
COLOURS = ("#f7f7f5", "#d4e2ee", "#93b8d8", "#4a84b8", "#123f6d")
LEGEND = "of its share: up to ¼, ½, 1, 2, more"

Layers = Sequence[Sequence[int]]  # tokens by layer and expert; a layer without experts has none


def map_lines(layers: Layers, width: int) -> list[str]:
    """In `width` columns, or 16 if that is fewer; experts that have no room side by side go on in the next line."""
    used = rows(layers)
    if not used:
        return []
    room = max(8, width - 8)
    lines = [f"experts by layer, {' '.join(f'[{shade}]' for shade in SHADES)} {LEGEND}"]
    for layer, shades in used:
        text = "".join(SHADES[shade] for shade in shades)
        pieces = [text[first : first + room] for first in range(0, len(text), room)]
        lines += [f"{layer if not i else '':>5} |{piece}|" for i, piece in enumerate(pieces)]
    return lines


def write_map(layers: Layers, path: Path, model: str) -> None:
    """An SVG that takes the place of what is at `path`. Raises ModelFileError or CapacityError if it cannot be."""
    with replacing(path) as file:
        file.write(svg(layers, model).encode())


def svg(layers: Layers, model: str) -> str:
    """Squares that say, when pointed at, which expert they are and how many tokens it had."""
    used = rows(layers)
    width = MARGIN + CELL * max([24, *(len(shades) for _, shades in used)]) + CELL
    height = HEAD + CELL * (len(used) + 2)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
        "<style>text { font: 11px sans-serif }</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="8" y="20">Experts of {escaped(model)}, by layer</text>',
    ]
    for row, (layer, shades) in enumerate(used):
        top = HEAD + CELL * row
        drawn.append(f'<text x="{MARGIN - 8}" y="{top + 12}" text-anchor="end">layer {layer}</text>')
        for expert, shade in enumerate(shades):
            drawn.append(
                f'<rect x="{MARGIN + CELL * expert}" y="{top}" width="{CELL - 1}" height="{CELL - 1}" '
                f'fill="{COLOURS[shade]}"><title>expert {expert} of layer {layer}: {layers[layer][expert]} tokens'
                "</title></rect>"
            )
    bottom = HEAD + CELL * len(used) + CELL // 2
    for i, colour in enumerate(COLOURS):
        x = MARGIN + CELL * i
        drawn.append(f'<rect x="{x}" y="{bottom}" width="{CELL - 1}" height="{CELL - 1}" fill="{colour}"/>')
    drawn.append(f'<text x="{MARGIN + CELL * len(COLOURS) + 8}" y="{bottom + 12}">{LEGEND}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def rows(layers: Layers) -> list[tuple[int, list[int]]]:
    """Layers that were used, and the shade of each of their experts."""
    return [
        (layer, [sum(count * len(counts) > step * sum(counts) for step in STEPS) for count in counts])
        for layer, counts in enumerate(layers)
        if sum(counts)
    ]


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
