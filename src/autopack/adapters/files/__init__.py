"""Files for people: plans they write, summaries they read."""
