"""The nouns and decisions of the domain: no I/O, no clock, no library that waits or guesses."""
