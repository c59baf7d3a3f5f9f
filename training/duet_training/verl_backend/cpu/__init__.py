"""What VERL needs to run without an accelerator: a platform and a rollout server."""
