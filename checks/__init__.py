"""What `make audit` looks at: the code by bandit and by rules of our own, dependencies by what is known against them.

Belongs here: those rules, what is made of the tools' answers, and how k8s/ is rendered. Never here: what the product
imports.
"""
