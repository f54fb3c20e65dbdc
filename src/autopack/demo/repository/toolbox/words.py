"""Words and what to make of them."""


def title(text):
    """The text with every word capitalised."""
    return " ".join(word.capitalize() for word in text.split())
