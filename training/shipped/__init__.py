"""The pair that comes with the code, made from nothing."""
