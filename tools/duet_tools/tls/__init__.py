"""What mutual TLS costs."""
