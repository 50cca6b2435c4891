"""The conversation: who speaks (`persona`), what has been said (`session`), how it is kept (`record`).

It knows a model only as a `Speaker` (`values`), and neither files of weights nor screens.
"""
