"""Loses a part of a store under load, and measures what that costs."""
