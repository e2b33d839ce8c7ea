"""One experiment: built, trained step by step, and recorded. Imports config, components, compiler and storage."""
