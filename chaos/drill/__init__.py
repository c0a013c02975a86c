"""Loses each store for good on a stack of its own, brings the system back, and proves what is promised then."""
