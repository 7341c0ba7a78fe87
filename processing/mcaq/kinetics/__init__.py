"""Kinetic models: from the input function and a tissue curve to flow. One model a file."""
