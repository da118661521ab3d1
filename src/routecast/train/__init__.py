"""Fitting: one file per router family."""
