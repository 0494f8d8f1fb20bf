"""The fields of Query, by noun: each is one call and one conversion."""
