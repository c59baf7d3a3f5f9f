"""Who this device is to a server: enrollment, its key and certificate, and links that use them."""
