"""What the decisions of a calibration save, on questions that they were not fitted on."""
