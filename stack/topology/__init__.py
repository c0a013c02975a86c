"""Describes what runs at which address with which configuration; pure descriptions of a stack."""
