"""Chaos experiments: fault injection into a running system, and the verification of its guarantees."""
