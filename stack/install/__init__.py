"""
Installs what must be on the machine before anything starts: packages, the Python environment, and what is built in it.
"""
