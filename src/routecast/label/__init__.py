"""Labels for preference data: gold ones from outcomes, a judge model's verdicts."""
