"""What Kubernetes promises of each kind: how objects are prepared, defaulted and validated. Pure functions."""
