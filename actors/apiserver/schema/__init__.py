"""What the API's objects look like: resources, structural types, and the documents that describe them."""
