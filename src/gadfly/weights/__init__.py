"""Files of weights: `gguf`, `safetensors` and Grok-1's release are read and written; `load` makes a model of them."""
