"""The components of a cluster, one folder each: the Kubernetes architecture diagram."""
