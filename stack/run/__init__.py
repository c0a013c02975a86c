"""Starts, supervises, checks and stops what the topology describes."""
