"""From scores to probabilities, and from a goal to a threshold."""
