"""Lists of models as Anthropic's own SDK validates them."""

from anthropic.pagination import SyncPage
from anthropic.types import ModelInfo

from gadfly.api.anthropic_models import model_info, model_page
from gadfly.api.model_card import ModelCard
from wire import strict

CARD = ModelCard("smollm2", 1_800_000_000.5, context=8192)


def test_a_model() -> None:
    info = strict(ModelInfo, model_info(CARD))
    assert (info.id, info.max_input_tokens, info.created_at.timestamp()) == ("smollm2", 8192, 1_800_000_000.5)


def test_a_page() -> None:
    page = strict(SyncPage[ModelInfo], model_page([CARD, ModelCard("b", 0)]))
    assert ([each.id for each in page.data], page.has_more, page.last_id) == (["smollm2", "b"], False, "b")
    assert model_page([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
