"""What must not leave the device: private context, and the redaction of questions."""
