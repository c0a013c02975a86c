"""
Errors that the user can act on.
"""


class StackError(Exception):
    """Shown as one message without a traceback; the message says what is wrong and where."""
