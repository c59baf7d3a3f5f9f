"""What the device's local server saves, costs and holds."""
