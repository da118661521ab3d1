"""Prompts to win probabilities."""
