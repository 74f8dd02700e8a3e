"""What expressions in CEL are to the API server: types that schemas declare, what an expression may cost, functions
that only its expressions have. Compiling and evaluating is actorkube/cel.
"""
