"""The commands with their options and help texts; what they do is imported when they are called."""
