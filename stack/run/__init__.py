"""Starts, supervises, asks and ends what the topology describes."""
