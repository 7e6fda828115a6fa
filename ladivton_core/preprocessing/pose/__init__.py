"""Joints (published §1.2 to 1.4): their files and dialects, the body's size, pose map, agreement with a parse map."""
