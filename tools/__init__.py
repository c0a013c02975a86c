"""What developers run on the code: checks and test suites."""
