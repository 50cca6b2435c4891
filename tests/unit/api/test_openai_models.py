"""Lists of models as OpenAI's own SDK validates them."""

from openai.pagination import SyncPage
from openai.types import Model

from gadfly.api.model_card import ModelCard
from gadfly.api.openai_models import model_list, model_object
from wire import strict

CARD = ModelCard("smollm2", 1_800_000_000.5, context=8192, licence="apache-2.0")


def test_a_model() -> None:
    assert strict(Model, model_object(CARD)).created == 1_800_000_000
    assert model_object(CARD)["context_length"] == 8192


def test_a_list() -> None:
    page = strict(SyncPage[Model], model_list([CARD]))
    assert [each.id for each in page.data] == ["smollm2"]
