"""The server of the web pages, and of what the operations board shows."""
