"""The verbs that change a fitted system."""
