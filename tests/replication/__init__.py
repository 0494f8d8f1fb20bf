"""Answers of who follows, beside those of who watches."""
