"""Tests, in folders by behaviour."""
