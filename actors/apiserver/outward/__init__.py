"""What the API server itself calls: webhooks, and services of the cluster."""
