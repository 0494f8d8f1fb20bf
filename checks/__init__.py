"""What `make audit` looks at: the code by bandit and by rules of our own, dependencies by what is known against them.

Belongs here: those rules, and what is made of the tools' answers. Never here: what the product imports.
"""
