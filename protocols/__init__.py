"""What is said, and what it means: messages, frames, errors and the facts of the API that components share."""
