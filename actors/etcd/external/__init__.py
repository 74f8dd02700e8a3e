"""A store that is a real etcd: an actor that answers what our replicas answer, by calls of etcd's v3 API over gRPC."""
