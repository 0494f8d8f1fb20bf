"""Kits for asyncio that know no cluster: tasks, backoff, fan-out, generations, an LRU, admission, rates, budgets.

Belongs here: what would serve any server of this shape, and the recorder of what a request costs. Never here: what a
pod or a member is (but the errors of `fleet.model`, which a fan-out puts in the place of answers, and a refusal is).
"""
