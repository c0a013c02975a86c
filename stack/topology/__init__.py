"""What runs on which address, with which configuration: pure descriptions of a stack."""
