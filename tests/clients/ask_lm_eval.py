"""lm-eval's `local-completions`, which scores texts through echo and logprobs, with our /tokenize for a tokenizer."""

import json
import math
import urllib.request

from asking import Asking
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

asking = Asking()


class Tokens:
    """What it would fetch a tokenizer from elsewhere for."""

    def encode(self, text, **_):
        body = json.dumps({"prompt": text, "add_special_tokens": False}).encode()
        asked = urllib.request.Request(f"{asking.url}/tokenize", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)["tokens"]

    def __call__(self, texts, **_):
        return {"input_ids": [self.encode(text) for text in texts]}


scorer = LocalCompletionsAPI(
    model=asking.model, base_url=f"{asking.url}/v1/completions", tokenizer_backend="none", eos_string="<|im_end|>"
)
scorer.tokenizer_backend, scorer.tokenizer, scorer.tokenized_requests = "remote", Tokens(), True


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


@asking.check("answer")
def _():
    options = {"until": ["\n"], "max_gen_toks": 6, "do_sample": False}
    (said,) = scorer.generate_until([Instance("generate_until", {}, (FRANCE, options), 0)])
    assert said.startswith(" "), said
    ((_, greedy),) = score((FRANCE, said))
    assert greedy, f"{said!r} was written at temperature 0, but is not the likeliest"
