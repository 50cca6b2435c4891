"""What the search takes for words. FTS5 ends a word where letters end, but Chinese, Japanese, Thai and others put no
space between words, and Korean puts endings to them: of these, every sign is a word, and what is looked for a phrase.
"""

import re
import unicodedata

__all__ = ["share_of_signs", "spaced", "unspaced"]

_BREAK = "\x1f"  # no letter, a single byte, and hardly in a text
_SIGNS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u3005-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"  # Chinese, Japanese,
    "\U0001b000-\U0001b2ff\U00020000-\U0003ffff]+"  # Korean
)


def spaced(text: str) -> str:
    """With marks around signs; other text as it is. Characters are composed: が and か with a mark are one."""
    if text.isascii() or not _SIGNS.search(text):
        return text
    return _SIGNS.sub(lambda found: _BREAK + _BREAK.join(found[0]) + _BREAK, unicodedata.normalize("NFC", text))


def share_of_signs(words: str) -> float:
    """Of what is `spaced`, from 0 to 1."""
    return min(1.0, 2 * words.count(_BREAK) / max(len(words), 1))


def unspaced(text: str) -> str:
    return text.replace(_BREAK, "")
