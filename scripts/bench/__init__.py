"""How well the engine does against truths that are known: ``make bench``."""
