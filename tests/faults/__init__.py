"""What each fault costs, with real servers behind a line that is made bad: the rows of `explanation/reliability.md`."""
