"""The audit log: who asked for what, when, and how it ended; as much of it as a policy says (audit.k8s.io/v1)."""
