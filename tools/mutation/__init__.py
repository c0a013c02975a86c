"""
Mutation testing of the core: which changes in its code does no test detect?
"""
