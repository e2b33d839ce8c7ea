"""Many runs as few computations: grouping, workers, shared state and progress. Imports compare, plotting and training."""
