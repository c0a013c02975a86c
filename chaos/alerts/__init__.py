"""Causes alerts on the one-machine stack, and measures when each fires and when it ends."""
