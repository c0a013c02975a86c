"""
Mutation testing of the heart: what changes in its code does no test notice?
"""
