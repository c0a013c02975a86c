"""Experiments that break parts of a running system, and the checks of what it promised meanwhile."""
