"""What a person can have the stack do; the table of all is stack.command_table."""
