"""The stack that a Python team would write in an afternoon, and what runs it beside ours to compare both."""
