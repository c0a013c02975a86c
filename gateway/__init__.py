"""Where people and programs come in: the REST edge, the pages, and the development issuer of tokens."""
