"""A trained network: load it and predict. Imports training, config and storage."""
