"""Modes of answering a question, one per file: the split and its alternatives."""
