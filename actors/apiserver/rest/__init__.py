"""The API server's REST side: Kubernetes' HTTP API over TLS. Real worlds only; in simulation nobody speaks HTTP."""
