"""Whether a caller may do what it asks: RBAC, current with the watch cache, and the policy that clusters begin with."""
