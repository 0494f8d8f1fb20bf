"""Its charter: what belongs here, and what never does."""
