"""What is measured: services and engines as processes, and the prompts they are given."""
