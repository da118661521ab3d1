"""From labelled sets to a calibrated router: split, fit, calibrate, measure."""
