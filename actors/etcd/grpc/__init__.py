"""etcd's own API, v3 over gRPC: a door to a replica for other clients, and a client for other stores."""
