"""A body's frames, below the stages: clothes are dressed along them, and what clothes bare is drawn along them."""
