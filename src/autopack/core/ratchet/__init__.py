"""What a change takes from the tests and from what watches them, as questions for an auditor.

Compares the files of a change with those of its parent, as text and syntax tree. Never runs them,
and never refuses: every form that a cheat takes here is found in honest work, too.
"""
