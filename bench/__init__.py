"""Measurements of a running stack; they print, and judge nothing."""
