"""The implementations of the stack's commands; stack.command_table lists them all."""
