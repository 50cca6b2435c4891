"""The chat app over HTTP: a file for each of the things that its page asks about."""

from collections.abc import Sequence

from fastapi import APIRouter

from gadfly.server.app.page import Page
from gadfly.server.app.routes import (
    adapters,
    answers,
    attachments,
    chats,
    events,
    hints,
    models,
    nodes,
    opinions,
    personas,
    runs,
    session,
    settings,
    tools,
    transfer,
    workshop,
)

__all__ = ["all_of"]


def all_of(page: Page) -> Sequence[APIRouter]:
    """Every route, and one for each file of the page."""
    found = (
        *(session, chats, answers, hints, attachments, transfer),
        *(nodes, opinions, events, models, adapters, personas, settings, tools, workshop, runs),
    )
    return (*(one.routes for one in found), session.page_routes(page))
