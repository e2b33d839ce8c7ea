"""Many runs as few computations: planning, grouping, worker processes, shared state and progress.

It may import every room but inference and commands.
"""
