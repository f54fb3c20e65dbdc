"""git as the supervisor's store of work: a bare repository of its own, clones, candidates, refs.

Never runs git on an agent's own `.git`, and never in a checkout of the user.
"""
