"""Simulation of devices and replicas of the service: waiting times and costs."""
