"""Preference data: its contracts, files, splits, and the check for leakage."""
