"""The wire formats of OpenAI, Anthropic and Ollama, as pure functions from JSON to values and from events to JSON.

A `read_...` makes a call of what a client sent, or raises a RequestError that names the field. A stream class is fed
with the events of an answer and returns what to send for each; what is sent at once is made of an `Answer`. Clocks,
ids and fingerprints are arguments. HTTP is not known here, nor how an answer comes about: `server` joins the two.
"""
