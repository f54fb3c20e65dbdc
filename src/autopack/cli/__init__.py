"""The command line: parses, calls wiring, prints. Decides nothing about a run."""
