"""The drawn world and the embedded default: worlds, training, figures. In the repository only; imports the library."""
