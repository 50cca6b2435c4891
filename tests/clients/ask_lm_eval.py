"""lm-eval's `local-completions`, which scores texts through echo and logprobs, with its settings as they are.

It finds that the server tells of its tokenizer, and uses it from afar.
"""

import math

from asking import Asking
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

asking = Asking()
scorer = LocalCompletionsAPI(model=asking.model, base_url=f"{asking.url}/v1/completions")


def score(*pairs):
    return scorer.loglikelihood([Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)])


FRANCE = "The capital of France is"


@asking.check("scores")
def _():
    (paris, _), (pizza, _) = score((FRANCE, " Paris"), (FRANCE, " pizza"))
    assert pizza < paris < 0, (paris, pizza)
    (both, _), (first, _), (second, _) = score(
        (FRANCE, " Paris and of Italy"), (FRANCE, " Paris"), (f"{FRANCE} Paris", " and of Italy")
    )
    assert math.isclose(both, first + second, abs_tol=1e-3), (both, first, second)
    assert scorer.tokenizer_backend == "remote"
    assert scorer.tok_encode(scorer.tokenizer.eos_token) == [scorer.eot_token_id]
    return "with the server's tokenizer"


@asking.check("answer")
def _():
    options = {"until": ["\n"], "max_gen_toks": 6, "do_sample": False}
    (said,) = scorer.generate_until([Instance("generate_until", {}, (FRANCE, options), 0)])
    assert said.startswith(" "), said
    ((_, greedy),) = score((FRANCE, said))
    assert greedy, f"{said!r} was written at temperature 0, but is not the likeliest"
