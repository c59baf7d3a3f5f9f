"""Who this device is to a server: enrolment, its key and certificate, and links that use them."""
