"""Links that are emulated: what they are, and a TCP proxy that behaves like one."""
