"""Experiments defined in files: inject faults under load, and verify that nothing was lost."""
