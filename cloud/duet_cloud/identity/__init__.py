"""Access to the service: the certificate authority, certificates, roles, limits."""
