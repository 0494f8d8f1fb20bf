"""What an operation costs, known before any of it runs: the fields it asks for, times the objects that the fleet has.

Everything here is pure: the operation and counts in, an `Estimate` out. A unit is about what one plain field of one
object costs to answer, some three microseconds of one core; `graph.cost.weights` says what else costs how many.

Belongs here: reading an operation into a tree, arithmetic over it, weights, and changes that would make it pass.
Never here: a resolver, a call, a wait.
"""
