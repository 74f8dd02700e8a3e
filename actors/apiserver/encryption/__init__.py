"""Encryption at rest: what the store is given of chosen resources is sealed, and opened when it comes back."""
