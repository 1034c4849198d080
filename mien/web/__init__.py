"""Live dashboard in the browser: pages that read faces on the learner's device, and the server that delivers them."""
