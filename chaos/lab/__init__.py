"""Experiments from files: break something, watch the customers meanwhile, and prove that nothing was lost."""
