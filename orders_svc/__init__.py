"""The orders service: takes orders and brings each to a final state."""
