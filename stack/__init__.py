"""The one-machine stack: its settings, what runs (topology), install, run and commands."""
