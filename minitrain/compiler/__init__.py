"""A step as a typed tape: tracing, passes, memory plan, cost and the NumPy executor. Imports autograd."""
