"""Admission that users add while the cluster runs: webhooks, and policies in CEL.

Both say by the same rules what they are about (matching.py, conditions.py).
"""
