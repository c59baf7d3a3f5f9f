"""Fetch a pair's decoder: from a cloud, the hub or a directory, with the same checks for all."""
