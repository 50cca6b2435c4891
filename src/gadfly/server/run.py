"""From a service to a server that listens, and to its end.

It ends with Ctrl-C or SIGTERM: nothing new is taken, what is being answered has a while to finish, models are unloaded.
A second Ctrl-C does not wait.
"""

import asyncio
import logging
import socket
from contextlib import suppress

import uvicorn
import uvloop

from gadfly.errors import SettingsError
from gadfly.server.app.chat_app import ChatApp
from gadfly.server.application import create_app
from gadfly.server.connection import connection_class
from gadfly.server.gate import House
from gadfly.server.service import Service

__all__ = ["address", "listen", "make_server", "run_server"]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free. Raises SettingsError if it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"{host} port {port} cannot be listened on: {reason.lower()}; choose another --port or --host"
        ) from error


def address(listening: socket.socket) -> str:
    """Where a program on this machine reaches the server."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Ends answers of the chat app before it waits for connections: pages would keep theirs open for ever."""

    chat_app: ChatApp | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.chat_app:
            await self.chat_app.end_answers()
        await super().shutdown(sockets)


def make_server(service: Service, house: House, chat_app: ChatApp | None = None) -> uvicorn.Server:
    """A server that is not running yet. Its own log is silent: what matters is in ours."""
    limits = service.limits
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = Server(
        uvicorn.Config(
            create_app(service, house, chat_app),
            http=connection_class(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle,  # type: ignore[arg-type]  # seconds, whole or not
            timeout_graceful_shutdown=limits.grace,  # type: ignore[arg-type]
            limit_concurrency=limits.connections,
        )
    )
    server.chat_app = chat_app
    return server


def run_server(service: Service, house: House, listening: socket.socket, chat_app: ChatApp | None = None) -> None:
    """Serve until told to end. Raises what goes wrong with a model that is to be there from the start."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(make_server(service, house, chat_app), service, listening))


async def _serve(server: uvicorn.Server, service: Service, listening: socket.socket) -> None:
    preloading = asyncio.create_task(service.models.preload())

    def stop_if_failed(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            server.should_exit = True

    preloading.add_done_callback(stop_if_failed)
    await server.serve([listening])
    preloading.cancel()
    with suppress(asyncio.CancelledError):
        await preloading
