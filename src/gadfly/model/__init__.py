"""The transformer itself: see `transformer.forward`."""
