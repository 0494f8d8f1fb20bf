"""The simulated fleet, its usage, and the demo as a user starts it."""
