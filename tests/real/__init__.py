"""The real fleet is what it says it is."""
