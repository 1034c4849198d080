"""The audit of a data set: copies, quality, labels, balance, and what to do about them."""
