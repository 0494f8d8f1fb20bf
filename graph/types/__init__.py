"""The graph's nouns, one a file: views of frozen models.

A view has fields, a `from_model`, and relations of one load and one conversion. Fields that `from_model` does not set
are read from the model when a query selects them, so making a view costs next to nothing.
"""
