"""Faults that cause an alert and that no experiment needs, as commands; see `__main__`."""
