"""A sweep: many runs as few computations.

Runs of one structure, whatever numbers differ between them, are trained as stacks; a stack has as many runs as fit
into a core's cache, and stacks are spread over worker processes. Each run's directory is what it would be alone.
"""
