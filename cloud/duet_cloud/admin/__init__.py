"""`python -m duet_cloud.admin`: the authority, its devices, and whose pairs they load."""
