"""Making a model one's own: data, adapters, the loop, what comes of it. Needs the extra `train`, which is PyTorch."""
