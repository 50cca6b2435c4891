"""Gadfly: an open, irreverent chatbot that you run on your own computer and build your own on."""
