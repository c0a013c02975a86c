"""Takes orders and drives each to an end."""
