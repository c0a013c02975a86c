"""
The stack that a Python team would write in an afternoon, and the programs that run it beside ours for a comparison.
"""
