"""The command line: parse, call, print. No retrieval logic lives here, and nothing heavy loads at the top."""
