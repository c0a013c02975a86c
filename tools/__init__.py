"""The developers' tools: checks and test suites."""
