"""Joints (SPEC 1.2 to 1.4): their files and dialects, the body's size, the pose map, agreement with a parse map."""
