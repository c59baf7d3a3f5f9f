"""Checks of this device, one a module; `duet-device doctor` runs them."""
