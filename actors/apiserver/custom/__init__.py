"""Custom resources: what a CustomResourceDefinition says, compiled once a version, and how its objects are kept."""
