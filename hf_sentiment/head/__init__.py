"""The linear head: its features, its optimum, and what is folded into it."""
