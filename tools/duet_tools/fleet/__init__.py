"""Devices against replicas of the service, simulated: who waits how long, and what it costs."""
