"""Between a wish and the store: first plugins that complete what was asked for, then plugins that judge it.

chain.py is the table of plugins, each a function of `(Attributes, Stored)` in a file of its own.
"""
