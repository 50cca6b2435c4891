"""Files of weights: `gguf` reads them, `gguf_writer` writes them, `load` makes a model of one."""
