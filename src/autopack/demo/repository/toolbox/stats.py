"""Averages of plain lists of numbers."""


def mean(values):
    """The arithmetic mean of the values."""
    return sum(values) / len(values)


def median(values):
    """The middle of the sorted values."""
    return values[len(values) // 2]
