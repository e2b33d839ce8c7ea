"""A computation as a typed tape: tracing, passes, memory plan, cost and the NumPy executor.

Imports `autograd` and the loose modules.
"""
