"""Emulated links: their settings, and a TCP proxy that behaves like one."""
