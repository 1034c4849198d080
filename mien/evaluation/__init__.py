"""How good a bundle is: scores and their pictures."""
