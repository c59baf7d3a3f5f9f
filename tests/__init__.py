"""Tests of every package; a package, so that no other distribution's `tests` comes first."""
