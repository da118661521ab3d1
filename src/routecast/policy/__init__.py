"""From a win probability to a decision: settings, gates, thresholds. No network, no disk."""
