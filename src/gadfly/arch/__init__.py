"""One page per architecture. `PAGES` is keyed by what GGUF files call `general.architecture`."""

from collections.abc import Mapping

from gadfly.arch import llama
from gadfly.arch.page import Config, Page

__all__ = ["PAGES", "Config", "Page"]

PAGES: Mapping[str, Page] = {"llama": llama.PAGE}
