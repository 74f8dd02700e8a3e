"""What the API server itself does about CertificateSigningRequests."""
