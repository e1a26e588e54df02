"""The verb that fits weights: objectives, batches and the one loop; it knows no named system."""
