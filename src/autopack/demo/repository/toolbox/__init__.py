"""Small tools for numbers and words."""
