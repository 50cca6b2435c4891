"""The conversation: who speaks (`persona`), what has been said (`session`), how it is kept (`store`, `record`).

It knows a model only as a `Speaker` (`values`), and neither files of weights nor screens. What terminal and app share
is pure: the `tree` of what was said, the `history` that a model is shown of it, what falls off its `window`.
"""
