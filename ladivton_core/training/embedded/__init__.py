"""What only the embedded default needs: the drawn world in memory, and stages for what the paper takes as given."""
