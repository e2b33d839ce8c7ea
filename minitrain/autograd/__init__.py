"""The autograd core: values, their graph, and gradients of any order. Needs NumPy alone."""
