"""The server of the web pages and of the operations board's data."""
