"""Ollama's dialect for the files of models: pull, copy and delete, within the library and by name alone.

What a client names is a model of the catalogue or a repository of the hub, never a file here or an address elsewhere.
`create` is refused: here a model's manner is a persona's affair, and a file is made with `gadfly convert`.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from gadfly.api.errors import failure_of, ollama_error
from gadfly.api.fields import Fields
from gadfly.api.ollama_models import pull_progress, read_copy
from gadfly.api.ollama_request import read_model
from gadfly.errors import BusyError, DownloadError, GadflyError
from gadfly.hub.adopt import adopt
from gadfly.hub.library import Library
from gadfly.hub.progress import Silent
from gadfly.hub.pull import Network, pull, require_name
from gadfly.server.refusals import Refused, json_response
from gadfly.server.service import Service, body_of, service_of
from gadfly.server.stream import Streamed, json_line

__all__ = ["routes"]

routes = APIRouter(tags=["Ollama"])

_PULLS = 2  # at once
