"""Later methods, a file each: a start, a goal or a way of storing images of their own, in the same loop."""
