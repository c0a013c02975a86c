"""
What a person can do something about.
"""


class StackError(Exception):
    """Shown as one message, without a traceback; the message says what is wrong and where."""
