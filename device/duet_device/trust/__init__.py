"""Who signed a pair, and whom this device trusts."""
