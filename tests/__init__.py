"""Tests of every room; a package, so that no other distribution's `tests` comes first."""
