"""Bearer tokens: of service accounts (JWTs that this server signs), and of nodes that want to join."""
