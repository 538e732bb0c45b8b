"""Random and mutated input for everything that parses what a peer sends; `python -m tests.fuzz` runs it at length."""
