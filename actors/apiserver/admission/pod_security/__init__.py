"""PodSecurity: the Pod Security Standards, level by level, as a namespace's labels ask for them (KEP-2579)."""
