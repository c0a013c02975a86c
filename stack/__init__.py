"""The one-machine stack: what runs, on which address, how it is installed and supervised."""
