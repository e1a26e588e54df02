"""Doors to other people's tools: PyTerrier, MTEB, faiss, Parquet, Qdrant, and sentence-transformers' habits.

Each file speaks to one library and imports it only when it is used. None of them retrieves anything by
itself: what is found, and in which order, is the system's own answer. Every adapter takes a `System` or
whoever holds the current one (`LiveSystem`), so that what leaves the house is always the present state.
"""
