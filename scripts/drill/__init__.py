"""Drills: the product put under the loads and faults it promises to bear, and what came of it."""
