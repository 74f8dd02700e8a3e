"""APIServices: group versions that other servers answer for, found, checked, shown and passed on to."""
