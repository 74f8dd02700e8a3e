"""Kubernetes' expressions in CEL: compiled and evaluated by Google's cel-cpp, with the functions that Kubernetes adds.

The library is loaded when the first expression is compiled: a cluster without any does not pay for it. What only the
API server's expressions have (types that schemas declare, costs, an authorizer) is in actors/apiserver/cel.
"""
