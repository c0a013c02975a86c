"""The entry points for people and programs: the REST edge, the web pages, and the development token issuer."""
