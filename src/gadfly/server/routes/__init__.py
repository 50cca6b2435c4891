"""A file per dialect: parse, ask the model, encode. All that there is to know about a dialect is in `gadfly.api`."""
