"""Who is told of what happens to runs: an HTTP endpoint or a program of the operator's own."""
