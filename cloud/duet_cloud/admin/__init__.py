"""`duet-cloud admin`: the authority, its devices, and whose pairs they load."""
