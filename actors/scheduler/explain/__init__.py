"""Why a pod is where it is, or nowhere; and where pods would go. Pure: objects in, values out, decided by the cycle."""
